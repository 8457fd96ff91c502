"""Method: every word of the pages, one definition each, and how the figures are made."""

import streamlit as st

from carrot_core.dashboard import method_notes, shell

shell.guard(__file__)
st.title("Method")
st.write("What the words and figures of these pages mean, and how they are made.")

method_notes.asked_term()
words, how = st.tabs(["Glossary", "How figures are made"])
with words:
    method_notes.glossary_list()
with how:
    method_notes.notes()
