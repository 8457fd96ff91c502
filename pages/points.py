"""Operating points: keep points of a curve, see them side by side, download them, bring one back."""

import streamlit as st

from carrot_core import modes
from carrot_core.dashboard import shell
from carrot_core.dashboard.points import keep_panel
from carrot_core.dashboard.points.check import check_panel
from carrot_core.dashboard.points.comparison import compare
from carrot_core.dashboard.points.shelf import bring_panel, list_points, shelf, show_notice
from carrot_core.roles_audit import Role

shell.guard(__file__)
st.title("Operating points", anchor=False)
with st.container():  # keeps the elements below in place when the notice comes and goes
    show_notice()
keep_panel()
if not modes.may(Role.EDITOR):
    shell.not_here("A point you keep goes with your visit, so export it. Points are brought from files")
else:
    with st.expander("Bring a point from a file", icon=":material/upload:"):
        bring_panel()
with shell.errors_as_text():
    entries = list_points()
    st.header(f"Kept points ({len(entries)})" if entries else "Kept points")
    if entries:
        shelf(entries)
    else:
        st.info("No point is kept yet. Choose λ, a budget or a target above, and keep the point.")
    if len(entries) > 1:
        st.header("Side by side")
        compare([record for _, record in entries])
    if entries:
        st.header("Check a point")
        check_panel(entries)
