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
with shell.errors_as_text():
    entries = list_points()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.header(f"Kept points ({len(entries)})" if entries else "Kept points", width="content")
        if modes.may(Role.EDITOR):
            with st.popover("Bring a point from a file", icon=":material/upload:"):
                bring_panel()
    if not modes.may(Role.EDITOR):
        shell.not_here("A point you keep goes with your visit, so export it. Points are brought from files")
    if entries:
        shelf(entries)
    else:
        st.info("No point is kept yet. Choose λ, a budget or a target above, and keep the point.")
    if len(entries) > 1:
        compare([record for _, record in entries])
    if entries:
        with st.expander(
            "Check a point", expanded=st.session_state.setdefault("check:open", "check_by" in st.query_params)
        ):
            check_panel(entries)
