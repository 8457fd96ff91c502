"""Method: every word of the pages, one definition each, and how the figures are made."""

import streamlit as st

from carrot_core.dashboard import glossary, links, shell

shell.guard(__file__)
st.title("Method", anchor=False)
st.write("What the words and figures of these pages mean, and how they are made.")

glossary.show_linked_term()
search = glossary.search_box()
words, how = links.tabs(["Glossary", "How figures are made"], "read")
with words:
    glossary.term_list(search)
with how:
    glossary.show_notes(search)
