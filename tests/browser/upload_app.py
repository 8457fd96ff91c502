"""The upload panel beside a list of what the session sees."""

import streamlit as st

from carrot_core.dashboard.data.cards import cards, show_notice, show_upload_notice
from carrot_core.dashboard.data.upload import upload_panel
from carrot_core.dashboard.stores import labels, private_benchmarks
from carrot_core.store import Store

st.title("Upload")
st.text("Loaded: " + ", ".join(labels([*Store().benchmarks(), *private_benchmarks()])))
upload_panel()
show_upload_notice()
show_notice()
cards(private_benchmarks())
