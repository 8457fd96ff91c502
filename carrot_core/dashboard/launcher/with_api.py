"""What ``carrot app`` hands to ``streamlit run``: the dashboard with the API's routes beside it.

In a folder of its own, since Streamlit puts a script's folder on the import path.
"""

import streamlit as st

from carrot_core.dashboard.server import api_routes
from carrot_core.paths import app_script

app = st.App(app_script(), routes=api_routes())
