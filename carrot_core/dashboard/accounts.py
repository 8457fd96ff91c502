"""People of a team's server: the login by OpenID Connect (`st.login`), and the person for the guard of writers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from carrot_core import limits, modes
from carrot_core.dashboard.links import plain
from carrot_core.errors import CarrotError
from carrot_core.roles_audit import Person, is_verified, roles

_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_PASS = "carrot_pass"  # noqa: S105  a key of the session's state
_passes: weakref.WeakValueDictionary[str, _Pass] = weakref.WeakValueDictionary()


class _Pass:
    """An object in the state of a session whose person has a role."""


def check_login() -> None:
    """Refuse to serve a team if nobody could log in.

    Raises
    ------
    CarrotError
        Streamlit's secrets cannot be read or have no provider of logins, or the library for logins is not installed.
    """
    try:
        stated = set(st.secrets.get("auth", {}))
    except StreamlitSecretNotFoundError as error:  # there are none, or they cannot be read
        raise CarrotError(f"{modes.VARIABLE}=team needs a provider of logins (docs/hosting.md): {error}") from error
    if missing := [name for name in _NEEDED if name not in stated]:
        raise CarrotError(
            f"{modes.VARIABLE}=team needs a provider of logins: [auth] in .streamlit/secrets.toml, or in the file that "
            f"STREAMLIT_SECRETS_FILES names, lacks {', '.join(missing)} (docs/hosting.md)."
        )
    if find_spec("authlib") is None:
        raise CarrotError(f"{modes.VARIABLE}=team needs Authlib: `pip install 'carrot-core[team]'`.")


def person() -> Person | None:
    """The person logged in to the session of this script; None without a session or a valid login."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    claims = st.user.to_dict()
    if not claims.get("is_logged_in") or not _is_recent(claims):
        return None
    email, subject = claims.get("email"), str(claims.get("sub"))
    if is_verified(claims):
        return Person(str(email), roles().of(claims))
    return Person(f"{subject} ({email}, not verified)" if email else subject, roles().of(claims))


modes.ask_for_person(person)


def _is_recent(claims: Mapping[str, Any]) -> bool:
    issue_s = claims.get("iat")  # every valid token has it
    return isinstance(issue_s, int | float) and time.time() - issue_s < limits.LOGIN_HOURS * 3600


def admitted() -> bool:
    """Whether the session's person has a role; to anybody else the page says only how to get in."""
    who, context = person(), get_script_run_ctx()
    if who is not None and who.role is not None:
        if context is not None:
            _passes[context.session_id] = st.session_state.setdefault(_PASS, _Pass())
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
            st.caption(plain(f"{who.name} · {who.role.name.lower()}"), width="content")
            st.button("Log out", type="tertiary", key="log-out", on_click=st.logout)
        return True
    if context is not None:
        _passes.pop(context.session_id, None)
    st.title("CARROT", anchor=False)
    if who is None:
        st.write("This dashboard is a team's: log in to see it.")
        st.button("Log in", type="primary", icon=":material/login:", key="log-in", on_click=st.login)
    else:
        st.info(plain(f"{who.name} has no role here. The operator of this server gives roles."), icon=":material/lock:")
        st.button("Log out", key="log-out", on_click=st.logout)
    return False


def may_upload(session_id: str) -> bool:
    """Whether a session may send files: in a team, one whose person has a role."""
    return not modes.is_team() or session_id in _passes
