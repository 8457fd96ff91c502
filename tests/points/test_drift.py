"""Logs against a point: the rule holds at its level, finds what drifted, and says where too little is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binomtest

from carrot_core import CarrotRouter
from carrot_core.benchmarks.log_table import Calls, read_logs
from carrot_core.cli import main
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.points import wilson
from carrot_core.points.drift import LEAST, Drift, Tolerance, drift, worst
from carrot_core.points.drift_report import about_models, describe, drift_exhibit, figures_of, headline
from carrot_core.serving.point import PointFigures, PointFile, PointPrice, write_point
from tests.made import MODELS
from tests.points.test_difference import point

pytestmark = pytest.mark.slow

HEAD = "mmlu-pro-cot"
N_TEST = 800
SHARES = (0.5, 0.3, 0.2)


def drawn(rng: np.random.Generator, n: int, score: float = 0.7, factor: float = 1.0) -> tuple[Any, ...]:
    """Scores, dollars and models of n calls."""
    model = rng.choice(3, n, p=SHARES)
    return (rng.random(n) < score).astype(float), factor * rng.lognormal(-7, 0.8, n) * (1 + model), model


def promised(rng: np.random.Generator, n: int = N_TEST) -> PointFile:
    """A point whose figures were measured on n prompts."""
    score, cost, model = drawn(rng, n)
    ends: dict[str, float] = {}
    for name, values in (("score", score), ("cost_usd", cost)):
        mean, half = float(values.mean()), 1.96 * float(values.std()) / n**0.5
        ends |= {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
    shares = dict(zip(MODELS, (np.bincount(model, minlength=3) / n).tolist(), strict=True))
    return point(test=PointFigures.model_validate({"n_prompts": n, **ends}), shares=shares)


def calls_of(score: Any, cost: Any, model: Any, **values: Any) -> Calls:
    nothing = np.full(len(score), np.nan)
    fields: dict[str, Any] = {"prompt": np.arange(len(score)), "input_tokens": nothing, "output_tokens": nothing}
    return Calls("logs", MODELS, np.asarray(model), score=score, cost_usd=cost, **fields | values)


@pytest.mark.parametrize("n", [60, 400])
def test_logs_of_the_same_kind_are_called_outside_about_once_in_twenty(n: int) -> None:
    rng, outside = np.random.default_rng(0), np.zeros(3)
    for _ in range(400):
        result = drift(promised(rng), calls_of(*drawn(rng, n)))
        outside += [result.score.verdict == "outside", result.cost.verdict == "outside", result.of_shares == "outside"]
    assert (outside / 400 < 0.09).all(), outside
    assert outside.sum() > 0


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"score": 0.55}, "accuracy"),
        ({"score": 0.85}, "accuracy"),
        ({"factor": 1.6}, "cost"),
        ({"factor": 0.6}, "cost"),
    ],
)
def test_what_drifted_is_found_and_named(changed: dict[str, float], what: str) -> None:
    rng = np.random.default_rng(1)
    result = drift(promised(rng), calls_of(*drawn(rng, 600, **changed)))
    by_name = {one.what: one for one in result.compared}
    assert by_name[what].verdict == "outside"
    assert {one.verdict for name, one in by_name.items() if name != what} <= {"inside"}
    assert result.verdict == "outside"
    assert headline(result) == f"The logs do not agree with the point: {what}."
    assert f"{what}: " in describe(by_name[what])


def test_another_mix_of_models_is_found() -> None:
    rng = np.random.default_rng(2)
    score, cost, _ = drawn(rng, 600)
    result = drift(promised(rng), calls_of(score, cost, rng.choice(3, 600, p=[0.2, 0.3, 0.5])))
    assert result.of_shares == "outside"
    assert "the shares of the models" in headline(result)


@given(n=st.integers(LEAST, 400), tolerance=st.floats(0.02, 0.3), seed=st.integers(0, 50))
def test_as_many_prompts_as_are_said_to_be_needed_are_enough(n: int, tolerance: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    point, calls = promised(rng), drawn(rng, n)
    one = drift(point, calls_of(*calls), tolerance=Tolerance(score=tolerance)).score
    half = (one.difference.high - one.difference.low) / 2
    if one.verdict == "inside":
        assert half <= tolerance
    elif one.verdict == "too few" and one.needed is not None:
        assert one.needed > n or half == pytest.approx(tolerance, rel=0.05)  # t of 29 degrees against z
        repeated = [np.resize(values, one.needed) for values in calls]
        enough = drift(point, calls_of(*repeated), tolerance=Tolerance(score=tolerance)).score
        assert (enough.difference.high - enough.difference.low) / 2 == pytest.approx(tolerance, rel=0.1)
    elif one.verdict == "too few":
        assert (one.on_test.high - one.on_test.low) / 2 >= tolerance
        assert "no number of prompts" in describe(one)


def test_of_a_few_prompts_nothing_is_told_however_clear_they_look() -> None:
    rng = np.random.default_rng(3)
    calls = calls_of(np.zeros(LEAST - 1), np.full(LEAST - 1, 1.0), np.zeros(LEAST - 1, dtype=int))
    result = drift(promised(rng), calls)
    assert {one.verdict for one in result.compared} == {"too few"}
    assert "too few to tell" in headline(result)


def test_calls_that_happen_to_agree_are_no_surer_than_the_promise() -> None:
    rng = np.random.default_rng(4)
    one = drift(promised(rng), calls_of(np.ones(40), np.full(40, 1e-3), np.zeros(40, dtype=int))).score
    assert one.logged.high - one.logged.low > 0.2
    cheap = drift(promised(rng), calls_of(np.full(40, 0.7), np.full(40, 1e-3), np.zeros(40, dtype=int))).cost
    assert cheap.logged.low < cheap.logged.value < cheap.logged.high


def test_a_prompt_sent_many_times_counts_once() -> None:
    rng = np.random.default_rng(5)
    point, (score, cost, model) = promised(rng), drawn(rng, 200)
    once = drift(point, calls_of(score, cost, model))
    often = [np.repeat(values, 7) for values in (score, cost, model)]
    again = drift(point, calls_of(*often, prompt=np.repeat(np.arange(200), 7)))
    as_new = drift(point, calls_of(*often))
    for name in ("score", "cost"):
        one, other = getattr(once, name).difference, getattr(again, name).difference
        assert (one.low, one.high) == pytest.approx((other.low, other.high))
        assert getattr(as_new, name).difference.low > one.low
    assert again.n_calls == 1400
    assert again.n_prompts == 200


@pytest.mark.parametrize("sent", [[40] + [1] * 600, [200] + [1] * 300, np.ceil(90 / np.arange(1, 400)).astype(int)])
def test_prompts_sent_far_more_often_than_others_are_no_false_alarm(sent: Any) -> None:
    """All calls of a prompt have its score, its cost and its model: as little news as there can be."""
    rng, outside = np.random.default_rng(13), np.zeros(3)
    prompt = np.repeat(np.arange(len(sent)), sent)
    for _ in range(200):
        calls = calls_of(*(values[prompt] for values in drawn(rng, len(sent))), prompt=prompt)
        result = drift(promised(rng), calls)
        outside += [result.score.verdict == "outside", result.cost.verdict == "outside", result.of_shares == "outside"]
    assert (outside / 200 < 0.09).all(), outside
    assert result.n_prompts == result.score.n == len(sent)
    assert result.score.n_even == pytest.approx(sum(sent) ** 2 / sum(k * k for k in sent))
    assert "sent equally often" in describe(result.score)


def test_what_is_not_logged_is_not_known_and_hides_nothing_else() -> None:
    rng = np.random.default_rng(6)
    score, cost, model = drawn(rng, 500)
    nothing = np.full(500, np.nan)
    result = drift(promised(rng), calls_of(nothing, cost, model))
    assert result.score.verdict == "not known"
    assert result.verdict == "inside"
    assert describe(result.score) == "accuracy: not known, no score is logged."
    some = score.copy()
    some[100:] = np.nan
    assert "100 of 500 calls have a score" in " ".join(drift(promised(rng), calls_of(some, cost, model)).notes)
    assert worst([]) == worst(["not known"]) == "not known"
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    assert document["cost"]["promised"] == document["cost"]["on_test"]  # its former name, which scripts read


def test_a_point_on_which_nothing_was_measured_is_refused() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(CarrotError, match="Nothing was measured"):
        drift(point(test=None, shares=None), calls_of(*drawn(rng, 50)))
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(CarrotError, match="tolerance of cost"):
            Tolerance(cost=value)


def test_a_point_without_intervals_borrows_the_spread_of_the_logs() -> None:
    rng = np.random.default_rng(8)
    bare = dict.fromkeys(("score_low", "score_high", "cost_usd_low", "cost_usd_high"))
    point = promised(rng)
    assert point.test is not None
    result = drift(point.model_copy(update={"test": point.test.model_copy(update=bare)}), calls_of(*drawn(rng, 300)))
    assert result.score.difference.low < result.score.difference.value < result.score.difference.high
    assert any("without intervals" in note for note in result.notes)


def priced(rng: np.random.Generator) -> PointFile:
    prices = {model: PointPrice(input_usd_per_mtok=1.0, output_usd_per_mtok=4.0) for model in MODELS}
    return promised(rng).model_copy(update={"prices": prices})


def with_tokens(rng: np.random.Generator, n: int, price_in: Any, price_out: Any) -> Calls:
    score, _, model = drawn(rng, n)
    tokens_in, tokens_out = rng.integers(20, 900, n).astype(float), rng.integers(20, 400, n).astype(float)
    cost = (tokens_in * np.asarray(price_in)[model] + tokens_out * np.asarray(price_out)[model]) / 1e6
    return calls_of(score, cost, model, input_tokens=tokens_in, output_tokens=tokens_out)


def test_prices_other_than_the_points_are_named_with_what_the_calls_show() -> None:
    rng = np.random.default_rng(9)
    result = drift(priced(rng), with_tokens(rng, 300, [1.0, 2.0, 1.0], [4.0, 8.0, 4.0]))
    (line,) = about_models(result)
    assert line.startswith(
        f"{MODELS[1]}: calls cost 2 times what the point's prices say; they show $2.00 in and $8.00 out"
    )
    ratio = result.models.set_index("model")["price_ratio"]
    assert ratio[MODELS[0]] == pytest.approx(1.0)
    assert about_models(drift(priced(rng), with_tokens(rng, 300, [1.0] * 3, [4.0] * 3))) == []


def test_tokens_without_dollars_are_taken_at_the_points_prices() -> None:
    rng = np.random.default_rng(10)
    calls = with_tokens(rng, 300, [1.0] * 3, [4.0] * 3)
    paid = drift(priced(rng), calls).cost
    without_costs = drift(priced(np.random.default_rng(10)), replace(calls, cost_usd=np.full(300, np.nan)))
    assert without_costs.cost.logged.value == pytest.approx(paid.logged.value)
    assert any("300 calls have tokens and no dollars" in note for note in without_costs.notes)
    assert drift(promised(rng), replace(calls, cost_usd=np.full(300, np.nan))).cost.verdict == "not known"


def test_a_model_outside_the_pool_is_named_and_counted() -> None:
    rng = np.random.default_rng(11)
    score, cost, model = drawn(rng, 300)
    model[:120] = 3
    result = drift(promised(rng), replace(calls_of(score, cost, model), models=(*MODELS, "evil/other")))
    assert "Not in the point's pool: evil/other (120 calls)." in about_models(result)
    share = next(one for one in result.shares if one.what == "share of evil/other")
    assert share.on_test.value == 0
    assert share.verdict == "outside"


@given(n=st.integers(1, 10_000), share=st.floats(0, 1))
def test_an_interval_of_whole_draws_is_scipys(n: int, share: float) -> None:
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    interval = wilson(successes / n, n, float(ndtri(0.975)))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(share=st.floats(0, 1), n=st.integers(1, 10_000))
def test_a_proportions_interval_holds_it_and_stays_a_proportion(share: float, n: int) -> None:
    result = wilson(share, n, 1.96)
    assert 0 <= result.low <= share + 1e-12
    assert share - 1e-12 <= result.high <= 1


# The reader.

ROWS = pd.DataFrame(
    {
        "prompt_id": ["a", "b", "a", "c"],
        "model": ["=cmd()", "x", "x", "<img src=x>"],
        "score": [1.0, 0.0, None, 0.5],
        "cost_usd": [0.001, 0.002, 0.001, None],
        "prompt": ["One?", "Two?", "One?", "Three?"],
        "other": [1, 2, 3, 4],
    }
)


def written(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv", "jsonl", "csv.gz"])
def test_logs_are_read_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    calls = read_logs(written(ROWS, tmp_path / f"logs.{ending}"))
    assert [calls.models[place] for place in calls.model] == ROWS["model"].tolist()
    assert calls.prompt.tolist() == [0, 1, 0, 2]
    np.testing.assert_array_equal(calls.score, ROWS["score"])
    np.testing.assert_array_equal(calls.cost_usd, ROWS["cost_usd"])
    assert np.isnan(calls.input_tokens).all()
    assert sorted(calls.texts) == ["One?", "Three?", "Two?"]
    assert calls.n_texts == 3


def test_columns_of_other_names_are_mapped_and_ids_may_be_missing(tmp_path: Path) -> None:
    renamed = ROWS[["model", "score"]].rename(columns={"model": "engine", "score": "ok"})
    calls = read_logs(written(renamed, tmp_path / "logs.csv"), columns={"model": "engine", "score": "ok"})
    assert calls.prompt.tolist() == [0, 1, 2, 3]
    assert calls.texts == ()
    with pytest.raises(DataError, match="--column model=engine"):
        read_logs(tmp_path / "logs.csv")
    with pytest.raises(DataError, match="no column 'task' to map to"):
        read_logs(tmp_path / "logs.csv", columns={"task": "engine"})


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ROWS.assign(score=70), "must be from 0 to 1"),
        (ROWS.assign(score="good"), "is not a number"),
        (ROWS.assign(cost_usd=-1), "must be from 0 to"),
        (ROWS.assign(cost_usd="inf"), "must be from 0 to"),
        (ROWS.assign(model=["x", "", "y", "z"]), "is empty"),
        (ROWS.assign(prompt_id=["a", None, "b", "c"]), "is empty"),
        (ROWS.drop(columns="model"), "the column is missing"),
        (ROWS.iloc[:0], "no rows"),
        (ROWS.iloc[[0]].assign(output_tokens=1e300), "must be from 0 to"),
    ],
)
def test_files_that_are_no_logs_are_refused_with_row_and_column(
    tmp_path: Path, frame: pd.DataFrame, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_logs(written(frame, tmp_path / "logs.csv"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"PAR1", b"model\n" + b"\0" * 100, b"[" * 10_000])
@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "csv.gz"])
def test_damaged_files_are_refused_in_words(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"logs.{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="logs"):
        read_logs(path)
    with pytest.raises(NotFoundError):
        read_logs(tmp_path / "none.csv")


def test_more_calls_or_models_than_can_be_compared_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(ROWS, tmp_path / "logs.csv")
    monkeypatch.setattr("carrot_core.limits.LOG_CALLS", 3)
    with pytest.raises(DataError, match="has 4 calls, the most is 3"):
        read_logs(path)
    monkeypatch.undo()
    monkeypatch.setattr("carrot_core.limits.LOG_MODELS", 2)
    with pytest.raises(DataError, match="names 3 models"):
        read_logs(path)


# On a head that ships, and at the command line.


@pytest.fixture(scope="module")
def head() -> CarrotRouter:
    return CarrotRouter.load(HEAD)


def logs_as_promised(point: PointFile, n: int) -> pd.DataFrame:
    assert point.test is not None
    assert point.shares is not None
    rng = np.random.default_rng(12)
    names = list(point.shares)
    shares = np.array([point.shares[name] for name in names])
    return pd.DataFrame(
        {
            "model": rng.choice(names, n, p=shares / shares.sum()),
            "score": (rng.random(n) < point.test.score).astype(float),
            "cost_usd": point.test.cost_usd * rng.lognormal(0, 0.3, n) / np.exp(0.045),
        }
    )


def test_prompts_unlike_the_training_data_are_told_where_the_router_is_here(head: CarrotRouter) -> None:
    point = head.point_file(lam=0.1)
    frame = logs_as_promised(point, 60)
    texts = tuple(f"🥕{number} zzz qqq <script>{'x' * number}" for number in range(60))
    nothing = np.full(60, np.nan)
    models = tuple(sorted(set(frame["model"])))
    calls = Calls(
        "logs", models, np.array([models.index(name) for name in frame["model"]]), np.arange(60),
        frame["score"].to_numpy(), frame["cost_usd"].to_numpy(), nothing, nothing, texts, 60,
    )  # fmt: skip
    result = drift(point, calls, profile=head.profile)
    assert result.unlike is not None
    assert result.unlike.verdict == "outside"
    assert result.unlike.on_test.value == pytest.approx(0.01)
    assert drift(point, calls).unlike is None
    assert drift(point, replace(calls, texts=()), profile=head.profile).unlike is None
    assert {"accuracy", "cost", "prompts unlike the training data"} <= set(figures_of(result)["what"])


def carrot(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_line_says_it_with_its_exit_code(carrot_home: Path, tmp_path: Path, head: CarrotRouter) -> None:
    point = head.point_file(lam=0.1)
    write_point(point, tmp_path / "p.json")
    frame = logs_as_promised(point, 3000)
    fine = written(frame, tmp_path / "fine.parquet")
    output = carrot("point", "drift", tmp_path / "p.json", fine)
    assert output.startswith("The logs agree with the point")
    document = json.loads(carrot("point", "drift", tmp_path / "p.json", fine, "--json"))
    assert document["verdict"] == "inside"
    expensive = written(frame.assign(cost_usd=2 * frame["cost_usd"]), tmp_path / "expensive.csv")
    assert "cost: " in carrot("point", "drift", tmp_path / "p.json", expensive, code=6)
    few = written(frame.iloc[:40], tmp_path / "few.jsonl")
    assert "too few to tell" in carrot("point", "drift", tmp_path / "p.json", few, code=7)
    assert "needed" in carrot("point", "drift", tmp_path / "p.json", few, code=7)
    carrot("point", "drift", tmp_path / "p.json", tmp_path / "none.csv", code=3)
    broken = written(frame.assign(score=7), tmp_path / "broken.csv")
    assert "must be from 0 to 1" in carrot("point", "drift", tmp_path / "p.json", broken, code=4)
    renamed = written(frame.rename(columns={"model": "engine"}), tmp_path / "renamed.csv")
    carrot("point", "drift", tmp_path / "p.json", renamed, code=4)
    carrot("point", "drift", tmp_path / "p.json", renamed, "--column", "model=engine")


def test_a_router_that_is_elsewhere_is_not_fetched(carrot_home: Path, tmp_path: Path, head: CarrotRouter) -> None:
    point = head.point_file(lam=0.1).model_copy(update={"source": "owner/name"}).sealed()
    write_point(point, tmp_path / "p.json")
    logs = written(logs_as_promised(point, 3000).assign(prompt="What?"), tmp_path / "logs.csv")
    assert "'owner/name' is not on this machine" in carrot("point", "drift", tmp_path / "p.json", logs)


def test_an_interval_cut_by_the_edge_of_the_picture_is_told() -> None:
    row = {"what": "cost", "difference": 1.0, "difference_low": 0.5, "tolerance": 1.0, "verdict": "outside"}
    for end, cut in ((1.5, False), (9.0, True)):
        exhibit = drift_exhibit(pd.DataFrame([row | {"difference_high": end}]), {"cost": "Cost."}, "It drifted.")
        assert ("beyond ±4" in exhibit.caption) == cut


def test_every_verdict_has_its_words() -> None:
    rng = np.random.default_rng(13)
    result: Drift = drift(promised(rng), calls_of(*drawn(rng, 600)))
    for verdict, words in (("inside", "inside"), ("outside", "do not agree"), ("too few", "too few to tell")):
        changed = replace(result, score=replace(result.score, verdict=verdict))  # type: ignore[arg-type]
        assert words in headline(changed)
    slight = replace(result.score, verdict="outside", difference=replace(result.score.difference, low=0.001, high=0.01))
    assert "though by less than 5 points" in describe(slight)
