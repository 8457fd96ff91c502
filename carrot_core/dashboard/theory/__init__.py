"""The Theory page: widgets, each bound to the address, and stored simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from carrot_core.dashboard import links, work
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import errors_as_text
from carrot_core.dashboard.stores import Version, labels, results_version
from carrot_core.figures.exhibit import Exhibit
from carrot_core.results import shipped_snapshots
from carrot_core.results.snapshot import read
from carrot_core.theory import BREACHES, Breach, RateCurve, World, possible, predicted_slope, simulate, simulated_curve
from carrot_core.theory.rates import SIZES, boundary_exhibit, excess_risk

PARTS = ("Rate", "Decision boundary", "Broken assumption", "Real prompts", "What it rests on")
_SMOOTHNESS, _MARGINS = (0.5, 0.75, 1.0, 1.5, 2.0), (0.5, 1.0, 2.0)
_LAMS = tuple(step / 10 for step in range(11))
_QUICK = 10_000  # the largest n that is simulated by default


def part() -> str:
    """Choose the part of the page to show (``?part=``)."""
    choice = st.segmented_control(
        "Show", PARTS, default=PARTS[0], required=True, key="part", bind="query-params", label_visibility="collapsed"
    )
    links.check_parameter("part", links.among(PARTS), str(choice))
    return str(choice)


def _one(place: Any, title: str, options: Sequence[Any], first: Any, key: str, help_text: str = "") -> Any:
    words = {f"{option:,}": option for option in options}
    choice = place.selectbox(
        title, list(words), options.index(first), key=key, bind="query-params", help=help_text or None
    )
    links.check_parameter(key, links.among(list(words)), str(choice))
    return words[choice]


def world() -> World:
    """Choose the simulated world (``?sim_d=``, ``?sim_gamma=``, ``?sim_alpha=``, ``?sim_lam=``, ``?sim_models=``)."""
    places = st.columns(5)
    d = _one(places[0], "Dimension d", (1, 2, 3, 4), 2, "sim_d", tip("intrinsic-dimension"))
    gamma = _one(places[1], "Smoothness γ", _SMOOTHNESS, 1.0, "sim_gamma", tip("holder-smoothness"))
    margins = [alpha for alpha in _MARGINS if possible(gamma, alpha)]
    alpha = _one(
        places[2], "Margin α", margins, 1.0, "sim_alpha",
        tip(
            "margin-exponent",
            also="A margin other than 1 needs γ·α of at most 1: a smoother function cannot have that margin.",
        ),
    )  # fmt: skip
    lam = _one(places[3], "λ of the simulation", _LAMS, 0.5, "sim_lam", "Weighs the errors of accuracy and of cost.")
    models = _one(places[4], "Models", (2, 3, 4, 5), 2, "sim_models")
    return World(d, gamma, alpha, lam, models)


def breach() -> Breach:
    """Choose the assumption that is broken (``?sim_breach=``)."""
    words: dict[str, Breach] = {text: name for name, text in BREACHES.items() if name != "none"}
    choice = st.selectbox(
        "Assumption that does not hold", list(words), list(words.values()).index("rough"), key="sim_breach",
        bind="query-params",
    )  # fmt: skip
    links.check_parameter("sim_breach", links.among(list(words)), str(choice))
    return words[str(choice)]


@st.cache_data(max_entries=20_000, show_spinner=False)
def _run(simulated: World, n: int, repetition: int, seed: int) -> float:
    """One run of the simulation; each is cached, so an interrupted simulation continues where it stopped."""
    return excess_risk(simulated, n, repetition, seed)


def curves(*worlds: World) -> list[RateCurve]:
    """Rate curves of some worlds: those that ship, else simulated now with a progress bar."""
    shipped = [simulated_curve(one) for one in worlds]
    most = _QUICK if None in shipped and not _whole() else SIZES[-1]
    return [curve or _simulate(one, most) for curve, one in zip(shipped, worlds, strict=True)]


def _whole() -> bool:
    """Choose whether to simulate up to the largest n (``?sim_full=``)."""
    full = st.toggle(
        "Simulate up to n = 100,000 (may take some minutes)", key="sim_full", bind="query-params",
        help=f"Without it, simulated up to n = {_QUICK:,}.",
    )  # fmt: skip
    links.check_parameter("sim_full", links.flag, "yes" if full else "no")
    return full


def _simulate(world_: World, most: int) -> RateCurve:
    with work.progress("Simulating …") as show:

        def step(done: int, total: int) -> None:
            show(done / total, f"Simulating: run {done} of {total}")

        return simulate(world_, [n for n in SIZES if n <= most], progress=step, one=_run)


@work.cached(max_entries=24, show_spinner="Fitting the rule …")
def boundary(simulated: World, n: int) -> Exhibit:
    """The two maps of a world, always in two dimensions."""
    return boundary_exhibit(replace(simulated, dimension=2), n)


def training_prompts() -> int:
    """Choose n for the maps (``?sim_n=``)."""
    return int(_one(st.columns(5)[0], "Training prompts", SIZES[:5], 1_000, "sim_n"))


def readings(curve: RateCurve) -> None:
    """The predicted and the measured slope, and how many times the prompts halve the excess risk."""
    measured, low, high = curve.slope()
    promised = predicted_slope(curve.world)
    times = factor(promised).replace(" times", " ×")
    interval: Any = {"delta": f"95 %: {low:.2f} to {high:.2f}", "delta_color": "off", "delta_arrow": "off"}
    with st.container(horizontal=True, gap="large"):
        st.metric("Predicted slope", f"{promised:.2f}", width="content", help="-γ(1 + α)/(2γ + d)")
        st.metric("Measured slope", f"{measured:.2f}", width="content", **interval)
        st.metric(
            "To halve the excess", f"{times} prompts", width="content",
            help="So many times as many, from the predicted slope.",
        )  # fmt: skip


def factor(slope: float) -> str:
    """How many times as many prompts halve the excess risk at a slope, as text."""
    times = 0.5 ** (1 / slope)
    return f"{times:.1f} times" if times < 10 else f"{float(f'{times:.2g}'):,.0f} times"


def snapshot_learning() -> Mapping[str, pd.DataFrame]:
    """Learning curves of the snapshots that have one, by label; the page names those that are damaged."""
    snapshots, tables = shipped_snapshots(), {}
    for name, info in zip(labels(snapshots), snapshots, strict=True):
        with errors_as_text():
            table = _learning(results_version(info))
            if table is not None and not table.empty:
                tables[name] = table
    return tables


@st.cache_resource(max_entries=16, show_spinner=False)
def _learning(version: Version) -> pd.DataFrame | None:
    return read(Path(version.path)).analyses.get("learning")
