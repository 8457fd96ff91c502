"""One notice at the top of a page about the parameters of its link that could not be used.

Streamlit silently drops values of the address that a widget cannot show. So the first run of a session stores the
parameters of the address, each widget checks its own, and the notice lists those that could not be used and the
values shown instead. Later runs do not show it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from urllib.parse import parse_qs

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_tab_container import TabContainer
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from carrot_core import modes, paths
from carrot_core.benchmarks.model_facts_arms import NOTHING, ModelFacts, arms_of_models
from carrot_core.text import SENTENCE, visible

MOST_LETTERS = 60  # of a value in the notice
_MOST_VALUES = 3
_HAS_RUN, _PARAMETERS, _NOTICE = "link:opened", "link:asked", "link:notice"

Predicate = Callable[[str], bool]
Choice = str | list[str] | None  # of a widget of models


def begin() -> None:
    """Start a run of the app. The first run stores the parameters of the address and makes room for the notice."""
    _restore_address()
    first = _HAS_RUN not in st.session_state
    st.session_state[_HAS_RUN] = True
    st.session_state[_PARAMETERS] = {name: st.query_params.get_all(name) for name in st.query_params} if first else {}
    place = st.empty()  # in every run: otherwise the elements below would move, and open popovers would close
    st.session_state[_NOTICE] = (place, []) if first and st.session_state[_PARAMETERS] else None


def _restore_address() -> None:
    """Restore the parameters of widgets after a step back to another page: Streamlit drops those that both have."""
    context = get_script_run_ctx()
    if context is None or not went_back():
        return
    of_browser = parse_qs(context.query_string, keep_blank_values=True)
    if lost := {name: values for name, values in of_browser.items() if name not in st.query_params}:
        with context.session_state.query_params() as parameters:
            parameters.set_initial_query_params(context.query_string)
        st.query_params.update(lost)


def end() -> None:
    """Forget the link after the page has run: later values in fragments are the reader's choice."""
    st.session_state[_PARAMETERS], st.session_state[_NOTICE] = {}, None


def went_back() -> bool:
    """Whether this run was started by the browser's back or forward button."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def keep(name: str, options: Collection[str], short: Mapping[str, str]) -> None:
    """Keep what a link set in a bound widget: the browser drops it at the menu's first step to another page.

    A link may have a short name in place of an option, as ``bfcl`` for its snapshot.
    """
    value = st.session_state.get(name)
    if (of_link := st.query_params.get(name)) is not None:
        value = None if of_link in short.values() else short.get(of_link)
    if isinstance(value, str) and value in options and not went_back():
        with suppress(StreamlitAPIException):  # raised where the page was drawn before, and its widget has the value
            st.query_params[name] = st.session_state[name] = value


def check_parameter(name: str, accepts: Predicate, current: str, *, many: bool = False) -> None:
    """Check a parameter of the address against the values its widget accepts; add to the notice what cannot be used.

    Parameters
    ----------
    name : name of the parameter.
    accepts : whether the widget can show a value of the address.
    current : text of the value that is shown now.
    many : whether the parameter may occur more than once.
    """
    values = st.session_state.get(_PARAMETERS, {}).pop(name, None)
    if not values or (many and not any(values)):
        return
    errors = [value for value in (values if many else values[-1:]) if not accepts(value)]
    if errors:
        with suppress(StreamlitAPIException):  # a widget bound to the parameter has already corrected the address
            st.query_params.pop(name, None)
        values_text = ", ".join(map(_describe, errors[:_MOST_VALUES]))
        values_text += f" and {len(errors) - _MOST_VALUES} more" if len(errors) > _MOST_VALUES else ""
        _tell(f"**{name}**: {values_text} cannot be used. Shown: {plain(current)}.")
    elif len(values) > 1 and not many:
        _tell(f"**{name}** occurs {len(values)} times. Shown: the last, {plain(current)}.")


def refuse(name: str, why: str, current: str) -> None:
    """Add to the notice why a parameter was not used, and what is shown instead."""
    if st.session_state.get(_PARAMETERS, {}).pop(name, None):
        _tell(f"**{name}**: {plain(_cut(' '.join(why.split()), 3 * MOST_LETTERS))} Shown: {plain(current)}.")


def tabs(names: Sequence[str], key: str) -> Sequence[TabContainer]:
    """Tabs of which the open one is in the address (``?key=``)."""
    containers = st.tabs(names, key=key, bind="query-params")
    check_parameter(key, among(names), str(st.session_state[key]))
    return containers


def check_several(
    name: str, options: Sequence[str], choice: Sequence[str], otherwise: str, describe: Callable[[str], str] = visible
) -> None:
    """Check a parameter that may occur several times; each value must be an option as the widget shows it."""
    check_parameter(name, among(list(map(describe, options))), ", ".join(map(describe, choice)) or otherwise, many=True)


def among(options: Collection[str]) -> Predicate:
    """Accept the options of a widget, as the widget shows them."""
    return set(options).__contains__


def model_words(facts: Mapping[str, ModelFacts]) -> Callable[[str], str]:
    """Text of a model in a widget: with its provider unless the name has it, so that typing either finds the model.

    Different models have different texts: only the last ``·`` of a text may stand before a provider.
    """

    def words(model: str) -> str:
        name, provider = visible(model), visible(facts.get(model, NOTHING).provider).replace("·", "-")
        if provider.casefold() in name.casefold() and "·" not in name:
            return name
        return f"{name} · {provider or 'provider not known'}"

    return words


def by_provider(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> list[str]:
    """Order models by provider, and those of a provider so that the arms of a model are together."""

    def beside(model: str) -> tuple[str, ...]:
        known = facts.get(model, NOTHING)
        base = known.base_model or model
        return known.provider.casefold(), base.casefold(), base, model

    return sorted(models, key=beside) if facts else list(models)


def with_arms(
    models: Sequence[str], facts: Mapping[str, ModelFacts]
) -> tuple[list[str], Callable[[str], str], Mapping[str, Sequence[str]]]:
    """Options of a widget of several models: before the first arm of a model, all its arms as one option; their texts;
    and the arms by such an option."""
    words = model_words(facts)
    arms = {f"\0{names[0]}": (base, names) for base, names in arms_of_models(by_provider(models, facts), facts).items()}
    options = [option for model in by_provider(models, facts) for option in (f"\0{model}", model)]

    def text(option: str) -> str:
        if option not in arms:
            return words(option)
        base, names = arms[option]
        return " · ".join(filter(None, (visible(base), f"all {len(names)} arms", visible(facts[names[0]].provider))))

    return [each for each in options if each in arms or each in models], text, {of: arms[of][1] for of in arms}


def open_at_models(key: str, models: Sequence[str], default: Choice) -> None:
    """Set a widget to the models that the address names (`keep_models`), in a new session or after the back button.

    Call just before drawing. Streamlit's own binding would put the widget's text, with the provider, in the address.
    With ``persist_state="session"`` other pages share the choice, as with a bound widget. A choice that is the default
    stays the default when that changes.
    """
    state, context = st.session_state, get_script_run_ctx()
    page = context.page_script_hash if context else None
    last_page, last_default = state.get(f"{key}:drawn", (None, default))
    state[f"{key}:drawn"] = page, default
    if key not in state or went_back():
        by_name = {visible(model): model for model in models}
        named = [by_name[name] for name in dict.fromkeys(st.query_params.get_all(key)) if name in by_name]
    elif page != last_page or default != last_default == state[key]:  # a widget opens a page at its default by itself
        own = state[key] if isinstance(state[key], list) else [state[key]]
        named = [model for model in own if model in models and own != [last_default]]
    else:
        return
    state[key] = (named if isinstance(default, list) else named[-1]) if named else default


def keep_models(key: str, models: Sequence[str], choice: Choice, default: Choice, otherwise: str) -> None:
    """Check the models in the address, then write the choice to it, or nothing if that is the default.

    Parameters
    ----------
    key : key of the widget and name of the parameter.
    models : the options.
    otherwise : text in the notice if no model is chosen.
    """
    several = isinstance(default, list)
    names = [visible(model) for model in (choice if isinstance(choice, list) else [choice]) if model]
    check_parameter(key, among(["", otherwise, *map(visible, models)]), ", ".join(names) or otherwise, many=several)
    if choice == default:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != names:
        st.query_params[key] = names


def between(low: float, high: float, *, whole: bool = False) -> Predicate:
    """Accept a number from ``low`` to ``high``."""

    def fits(text: str) -> bool:
        try:
            number = int(text) if whole else float(text)
        except ValueError:
            return False
        return isfinite(number) and low <= number <= high

    return fits


def flag(text: str) -> bool:
    """Accept yes or no."""
    return text.lower() in ("true", "false")


def _describe(value: str) -> str:
    return plain(visible(_cut(value, MOST_LETTERS))) if value else "an empty value"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def _tell(line: str) -> None:
    place: DeltaGenerator
    place, lines = st.session_state[_NOTICE]
    lines.append(line)
    text = "Not all of this link could be followed.\n\n" + "\n".join(f"- {one}" for one in lines)
    place.warning(text, icon=":material/link_off:")


_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-=.!|~$:&])")

# Text that Streamlit turns into a link even if it is escaped, and the character without width that prevents it.
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=\w@)(?=[\w-]+\.)", re.IGNORECASE)
_JOINER = "\u2060"
_UNIT = re.compile(r"(?<=\d) (?=%|(?:m?s|[kMG]B|points?)\b)")  # a space that must not break a line


def plain(text: str) -> str:
    """Markdown that shows exactly this text, with no link in it.

    Names and messages come from files. Unescaped, an image in one would make the browser load it from another host.
    Invisible characters are shown by their codes. Paths of a server that others use are left out. A number and
    its unit stay on one line.
    """
    words = visible(paths.without_places(text) if modes.is_shared() else text, SENTENCE)
    return _MARKUP.sub(r"\\\1", _UNIT.sub("\u00a0", _LINK.sub(_JOINER, words))).replace("\n", "  \n")


def lam_in_address(name: str) -> float | None:
    """A parameter of the address as λ; None if it is not a valid λ."""
    text = st.query_params.get(name, "")
    return float(text) if between(0, 1)(text) else None
