"""The upload panel beside a list of what the session sees."""

import streamlit as st

from carrot_core.dashboard.data.cards import own_benchmarks
from carrot_core.dashboard.data.upload import upload_panel
from carrot_core.dashboard.shell import errors_as_text
from carrot_core.dashboard.stores import labels, private_benchmarks
from carrot_core.store import Store

st.title("Upload")
st.text("Loaded: " + ", ".join(labels([*Store().benchmarks(), *private_benchmarks()])))
upload_panel()
with errors_as_text():
    own_benchmarks()
