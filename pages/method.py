"""Method: every word of the pages, one definition each, and how the figures are made."""

import streamlit as st

from carrot_core.dashboard import method, shell

shell.guard(__file__)
st.title("Method", anchor=False)
st.write("What the words and figures of these pages mean, and how they are made.")

method.show_linked_term()
search = method.search_box()
words, how = st.tabs(["Glossary", "How figures are made"])
with words:
    method.glossary_list(search)
with how:
    method.show_notes(search)
