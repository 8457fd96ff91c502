"""Many prompts: the decisions are those of each prompt alone, the file is whole or not there, memory is bounded."""

from __future__ import annotations

import gzip
import json
import resource
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core import limits, serving
from carrot_core.csv_latex import restored
from carrot_core.embedding import Vectors
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.evaluation import Setting, setting
from carrot_core.frontier import sweep
from carrot_core.number_formats import NOTHING_TO_SAVE
from carrot_core.serving import CarrotRouter
from carrot_core.serving.files import open_prompts, prompt_columns, prompts_from_lines
from carrot_core.serving.intervals import Calibration
from carrot_core.serving.profile import profile_of
from carrot_core.serving.summary import Summary, route_all, route_file, route_lines
from tests.forks import FINISHED, Forks
from tests.made import MODELS, made

pytestmark = pytest.mark.slow

TOO_LONG = "x" * (limits.PROMPT_CHARACTERS + 1)
TEXTS = [f"Question {number}: {'why ' * (number % 7)}?" for number in range(200)]


def text_vectors(texts: Sequence[str], encoder: str = "") -> Vectors:
    """Unit vectors that depend on the text alone, many of them like the training prompts."""
    rng = np.random.default_rng(0)
    rng.integers(0, 2, 300)
    centre = rng.normal(size=(2, 384))  # as `made` draws them
    drawn = []
    for text in texts:
        seed = zlib.crc32(text.encode("utf-8", "replace"))
        drawn.append(centre[seed % 2] + np.random.default_rng(seed).normal(scale=0.6 + seed % 3 / 10, size=384))
    return np.array([vector / np.linalg.norm(vector) for vector in drawn], dtype=np.float32).reshape(-1, 384)


@pytest.fixture(autouse=True)
def _quick_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "embed", text_vectors)


@cache
def _fitted() -> tuple[Setting, CarrotRouter]:
    made_setting = setting(made())
    fitted, estimates = made_setting.fit("carrot-knn")
    return made_setting, CarrotRouter("made", fitted, profile_of(made_setting, fitted, estimates), "made artefact")


@pytest.fixture
def router() -> CarrotRouter:
    return _fitted()[1]


def frame_of(router: CarrotRouter, lines: Sequence[str], **options: Any) -> pd.DataFrame:
    frames: list[pd.DataFrame] = []
    route_all(router, prompts_from_lines(lines), frames.append, **options)
    return pd.concat(frames, ignore_index=True)


class TestDecisions:
    def test_each_is_that_of_the_prompt_alone(self, router: CarrotRouter) -> None:
        frame = frame_of(router, TEXTS, lam=0.3, per_model=True)
        assert frame["model"].tolist() == [router.route(text, lam=0.3) for text in TEXTS]
        assert frame["model"].nunique() > 1
        for row in (0, 99, 199):
            alone = router.estimate([TEXTS[row]]).set_index("model")
            for name in ("est_score", "est_output_tokens", "est_cost_usd"):
                assert frame.loc[row, name] == pytest.approx(alone.loc[frame.loc[row, "model"], name])
                for model in MODELS:
                    assert frame.loc[row, f"{model}|{name}"] == pytest.approx(alone.loc[model, name])

    @settings(max_examples=15)
    @given(most=st.integers(1, 250))
    def test_the_size_of_a_chunk_does_not_matter(self, most: int) -> None:
        router = _fitted()[1]
        pd.testing.assert_frame_equal(frame_of(router, TEXTS[:40], lam=0.3, most=most), _whole())

    def test_options_are_those_of_a_decision(self, router: CarrotRouter) -> None:
        frame = frame_of(router, TEXTS, lam=0.3, pool=MODELS[:2], fallback=MODELS[0], fallback_above=50.0)
        unlike = frame["distance_percentile"] >= 50
        assert 0 < unlike.sum() < len(unlike)
        assert (frame["fell_back"] == unlike).all()
        assert set(frame.loc[unlike, "model"]) == {MODELS[0]}
        assert set(frame["model"]) <= set(MODELS[:2])

    def test_long_prompts_go_in_smaller_chunks(self, router: CarrotRouter) -> None:
        sizes: list[int] = []
        route_all(router, prompts_from_lines(["a" * 900_000] * 10), lambda frame: sizes.append(len(frame)), lam=0.3)
        assert sizes == [4, 4, 2]


@cache
def _whole() -> pd.DataFrame:
    return frame_of(_fitted()[1], TEXTS[:40], lam=0.3)


class TestFiles:
    @pytest.mark.parametrize(
        ("source", "out"),
        [
            *((f"p.{kind}", "d.csv") for kind in ("csv", "tsv", "jsonl", "parquet", "txt", "txt.gz", "csv.gz")),
            ("p.csv", "d.parquet"),
            ("p.txt", "d.jsonl"),
        ],
    )
    def test_rows_stay_in_order_with_their_ids(
        self, router: CarrotRouter, tmp_path: Path, source: str, out: str
    ) -> None:
        ids = [f"q{number % 190:03d}" for number in range(len(TEXTS))]  # some twice: they are kept as they are
        write_prompts(tmp_path / source, pd.DataFrame({"prompt_id": ids, "prompt": TEXTS, "other": 1}))
        route_file(router, tmp_path / source, tmp_path / out, lam=0.3)
        result = read(tmp_path / out)
        numbered = [str(number) for number in range(1, len(TEXTS) + 1)]
        assert result["prompt_id"].tolist() == (numbered if ".txt" in source else ids)
        expected = frame_of(router, TEXTS, lam=0.3).drop(columns="prompt_id")
        pd.testing.assert_frame_equal(result.drop(columns="prompt_id"), expected)

    def test_another_column_may_hold_the_prompts(self, router: CarrotRouter, tmp_path: Path) -> None:
        path = tmp_path / "p.jsonl"
        write_prompts(path, pd.DataFrame({"Question": TEXTS[:5], "prompt": ["wrong"] * 5}))
        route_file(router, path, tmp_path / "d.csv", column="Question", with_prompts=True, lam=0.3)
        assert read(tmp_path / "d.csv")["prompt"].tolist() == TEXTS[:5]
        assert prompt_columns(path) == ("Question", "prompt")

    def test_no_text_is_written_unless_asked_for(self, router: CarrotRouter, tmp_path: Path) -> None:
        for kind in ("csv", "jsonl", "parquet"):
            route_lines(router, ["a secret"], tmp_path / f"d.{kind}", lam=0.3)
            assert b"secret" not in (tmp_path / f"d.{kind}").read_bytes()

    def test_ids_are_no_formulas(self, router: CarrotRouter, tmp_path: Path) -> None:
        ids = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "plain"]
        write_prompts(tmp_path / "p.jsonl", pd.DataFrame({"prompt_id": ids, "prompt": TEXTS[: len(ids)]}))
        route_file(router, tmp_path / "p.jsonl", tmp_path / "d.csv", most=3, lam=0.3)
        written = pd.read_csv(tmp_path / "d.csv", dtype={"prompt_id": str})
        assert not written["prompt_id"].str.match(r"[=+\-@\t\r]").any()
        assert restored(written)["prompt_id"].tolist() == ids

    def test_odd_texts_have_a_decision(self, router: CarrotRouter, tmp_path: Path) -> None:
        texts = [
            "🥕" * 50,
            "\ud800",
            "a\x00b",
            "<script>alert(1)</script>",
            "中文",
            "\u202eabc",
            "x" * 100_000,
            "a\u2028b",
        ]
        for kind in ("csv", "jsonl", "parquet"):
            route_lines(router, texts, tmp_path / f"d.{kind}", with_prompts=True, lam=0.3)
            assert len(read(tmp_path / f"d.{kind}")) == len(texts)

    def test_what_is_not_known_is_empty(self, router: CarrotRouter, tmp_path: Path) -> None:
        (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b", "prompt_id": 7}\n')
        route_file(router, tmp_path / "p.jsonl", tmp_path / "d.jsonl", lam=0.3)
        assert [row["prompt_id"] for row in map(json.loads, (tmp_path / "d.jsonl").read_text().splitlines())] == [
            None,
            "7",
        ]


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "content", "what"),
        [
            ("p.csv", "", "the file is empty"),
            ("p.csv", "prompt\n", "has no prompts"),
            ("p.txt", "\n \n", "has no prompts"),
            ("p.txt", "", "has no prompts"),
            ("p.csv", "id,text\n1,a\n", "column 'prompt': the column is missing. Name the column .*: id, text"),
            ("p.csv", "prompt_id,prompt\n1,a\n2,\n3,\n", "row 2, column 'prompt': there is no prompt .first of 2 such"),
            ("p.jsonl", '{"prompt": null}\n', "row 1, column 'prompt': there is no prompt"),
            ("p.jsonl", "not json\n", "line 1 is not JSON"),
            ("p.parquet", "not parquet", "cannot be read"),
            (
                "p.csv",
                "prompt\n" + TOO_LONG,
                "row 1, column 'prompt': a prompt has more than",
            ),
            (
                "p.txt",
                "ok\n" + TOO_LONG,
                "row 2: a prompt has more than 1,000,000 characters",
            ),
            ("p.pdf", b"%PDF" + bytes(50), "is a PDF"),
            ("p.xyz", b"\x01" + bytes(50), "unknown type of file"),
            ("p.txt", b"\xff\xfe\x00", "is UTF-16"),
            ("p.txt", b"a\nb\xffc", "not UTF-8 in line 2"),
            ("p.txt.gz", b"\x1f\x8b no gzip", "its end is missing, or it is damaged"),
        ],
    )
    def test_in_words_and_nothing_is_written(
        self, router: CarrotRouter, tmp_path: Path, name: str, content: str | bytes, what: str
    ) -> None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(DataError, match=what):
            route_file(router, tmp_path / name, tmp_path / "d.parquet", lam=0.3)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_another_column_that_is_not_there(self, router: CarrotRouter, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("id,text\n1,a\n")
        with pytest.raises(DataError, match=r"column 'words'.*The file has: (text, id|id, text)"):
            route_file(router, tmp_path / "p.csv", tmp_path / "d.csv", column="words")

    def test_numbers_are_no_prompts(self, tmp_path: Path) -> None:
        pd.DataFrame({"prompt": [1.5]}).to_parquet(tmp_path / "p.parquet")
        with pytest.raises(DataError, match="holds DOUBLE"), open_prompts(tmp_path / "p.parquet"):
            pass

    def test_a_line_that_is_no_text(self, router: CarrotRouter) -> None:
        with pytest.raises(DataError, match="row 2: is int, not text"):
            frame_of(router, ["a", 2])  # type: ignore[list-item]

    def test_no_such_file_and_no_such_ending(self, router: CarrotRouter, tmp_path: Path) -> None:
        for name in ("p.txt", "p.csv"):
            with pytest.raises(NotFoundError):
                route_file(router, tmp_path / name, tmp_path / "d.csv")
        with pytest.raises(CarrotError, match=r"written as \.parquet, \.csv, \.jsonl"):
            route_lines(router, TEXTS, tmp_path / "d.xlsx")
        with pytest.raises(CarrotError, match="Cannot write"):
            route_lines(router, TEXTS, tmp_path / "nowhere" / "d.csv", lam=0.3)

    def test_the_prompts_are_not_overwritten(self, router: CarrotRouter, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("prompt\na\n")
        with pytest.raises(CarrotError, match="would overwrite the prompts"):
            route_file(router, tmp_path / "p.csv", tmp_path / "p.csv", lam=0.3)
        assert (tmp_path / "p.csv").read_text() == "prompt\na\n"


class TestEndedEarly:
    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, CarrotError])
    def test_nothing_is_left_and_an_old_file_stays(
        self, router: CarrotRouter, tmp_path: Path, kind: str, error: type[BaseException]
    ) -> None:
        out = tmp_path / f"d.{kind}"
        out.write_text("old")
        steps: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            steps.append((done, total))
            assert len(list(tmp_path.iterdir())) == 2
            if done == 20:
                raise error

        with pytest.raises(error):
            route_lines(router, TEXTS, out, progress=progress, most=10, lam=0.3)
        assert steps == [(10, 10), (20, 20)]
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
        assert out.read_text() == "old"

    def test_progress_knows_how_many_rows_a_file_has(self, router: CarrotRouter, tmp_path: Path) -> None:
        for name in ("p.csv", "p.txt"):
            write_prompts(tmp_path / name, pd.DataFrame({"prompt": TEXTS}))
            steps: list[tuple[int, int]] = []
            route_file(router, tmp_path / name, tmp_path / "d.csv", progress=_into(steps), most=80, lam=0.3)
            assert steps == [(80, 200), (160, 200), (200, 200)]


def _into(steps: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda done, total: steps.append((done, total))


class TestSummary:
    def test_sums_are_those_of_the_rows(self, router: CarrotRouter) -> None:
        frames: list[pd.DataFrame] = []
        summary = route_all(router, prompts_from_lines(TEXTS), frames.append, per_model=True, most=70, lam=0.3)
        frame = pd.concat(frames)
        assert summary.n_prompts == len(TEXTS)
        assert summary.share == pytest.approx({model: (frame["model"] == model).mean() for model in MODELS})
        assert summary.routed.score.value == pytest.approx(frame["est_score"].mean())
        assert summary.routed.total_cost_usd.value == pytest.approx(frame["est_cost_usd"].sum())
        assert summary.n_unlike == (frame["distance_percentile"] >= 99).sum()
        for model in MODELS:
            assert summary.alone[model].score.value == pytest.approx(frame[f"{model}|est_score"].mean())
            assert summary.alone[model].total_cost_usd.value == pytest.approx(frame[f"{model}|est_cost_usd"].sum())
        best = summary.alone[summary.best_single].total_cost_usd.value
        assert summary.best_single == router.profile.best_single
        assert summary.saving.value == pytest.approx(1 - summary.routed.total_cost_usd.value / best)
        assert summary.saving.low < summary.saving.value < summary.saving.high <= 1

    def test_decisions_on_which_no_interval_was_learned_have_none(self, router: CarrotRouter) -> None:
        def summary_of(**options: Any) -> Summary:
            return route_all(router, prompts_from_lines(TEXTS), lambda frame: None, lam=0.3, **options)

        same = dict(router.profile.prices)
        for options in ({}, {"prices": same}, {"pool": list(MODELS)}):
            summary = summary_of(**options)
            assert summary.calibrated
            assert summary.routed.score.low < summary.routed.score.value
            assert "No interval" not in summary.text()
        own = {"pool": MODELS[:2]}, {"prices": {MODELS[0]: (9.0, 9.0)}}, {"fallback": MODELS[0], "fallback_above": 0.0}
        for options in own:
            summary = summary_of(**options)
            document = json.loads(json.dumps(summary.document(), allow_nan=False))
            ends = [document["routed"]["score"], document["routed"]["total_cost_usd"], document["saving"]]
            assert {end[name] for end in ends for name in ("low", "high")} == {None}
            assert not document["calibrated"]
            assert "No interval is known for CARROT" in summary.text()
            assert np.isnan(summary.alone[MODELS[0]].total_cost_usd.low) == ("prices" in options)
            assert not np.isnan(summary.alone[MODELS[0]].score.low)

    def test_one_model_saves_nothing_against_itself(self, router: CarrotRouter) -> None:
        summary = route_all(router, prompts_from_lines(TEXTS), lambda frame: None, lam=0.3, pool=[MODELS[1]])
        assert summary.best_single == MODELS[1]
        assert summary.saving.value == pytest.approx(0.0, abs=1e-12)
        assert summary.share == {MODELS[1]: 1.0}

    def test_against_a_free_model_there_is_nothing_to_save(self, router: CarrotRouter) -> None:
        summary = route_all(
            router,
            prompts_from_lines(TEXTS),
            lambda frame: None,
            lam=0.3,
            pool=[MODELS[1]],
            prices={MODELS[1]: (0.0, 0.0)},
        )
        assert summary.document()["saving"] == {"value": None, "low": None, "high": None}
        assert NOTHING_TO_SAVE in summary.text()

    def test_document_table_and_text_say_the_same(self, router: CarrotRouter) -> None:
        summary = route_all(router, prompts_from_lines(TEXTS), lambda frame: None, lam=1.0)
        document = json.loads(json.dumps(summary.document(), allow_nan=False))
        assert document["exchange_rate_per_usd"] is None
        table = summary.table()
        assert table["model"].tolist()[0] == "CARROT"
        assert table["total_cost_usd"][0] == document["routed"]["total_cost_usd"]["value"]
        assert table["total_cost_usd"][1:].is_monotonic_decreasing
        assert f"{len(TEXTS)} prompts at λ 1" in summary.text()


class TestCalibration:
    def test_errors_are_those_of_the_decisions(self) -> None:
        made_setting, router = _fitted()
        part, estimates = made_setting.part("validation"), router._fitted.estimate(made_setting.part("validation"))
        curve = sweep(estimates, part.outcomes, made_setting.models)
        fitted = Calibration().fit(estimates, part.outcomes, curve)
        for rate in (0.0, 30.0, 1e6):
            rows, chosen = np.arange(len(part.prompt_ids)), curve.choices(rate)
            error = (part.outcomes.score - estimates.score)[rows, chosen]
            at = fitted.at_rate(rate)
            assert fitted.score_errors_[0, at] == pytest.approx(error.mean(), abs=0.02)
            assert fitted.score_errors_[1, at] == pytest.approx(error.std(ddof=1), abs=0.02)
        at, error = fitted.at_model(2), (part.outcomes.cost_usd - estimates.cost_usd)[:, 2]
        assert fitted.cost_errors_[0, at] == pytest.approx(error.mean() / estimates.cost_usd[:, 2].mean())

    def test_more_prompts_leave_the_error_of_the_calibration(self) -> None:
        fitted = _fitted()[1].profile.calibration
        assert fitted is not None
        widths = []
        for n in (50, 500, 10**9):
            interval = fitted.cost_usd(1.0, n, at=0)
            assert interval.low < interval.value == 1.0 < interval.high
            widths.append(interval.high - interval.low)
        assert widths[0] > widths[1] > widths[2] > 0

    def test_new_draws_fall_inside_as_often_as_said(self) -> None:
        """Prompts whose scores have the chance that was expected, and a spread of costs around what was expected."""
        rng, inside = np.random.default_rng(1), []
        for _ in range(80):
            chance, cost = rng.uniform(0.2, 0.9, (600, 2)), rng.uniform(1.0, 2.0, (600, 2))
            score = (rng.random((600, 2)) < chance).astype(float)
            paid = cost * rng.lognormal(-0.125, 0.5, (600, 2))
            fitted = _calibrated(chance[:300], cost[:300], score[:300], paid[:300])
            at = fitted.at_model(0)
            low, high = fitted.score(chance[300:, 0].mean(), 300, at=at)[1:]
            lowest, highest = fitted.cost_usd(cost[300:, 0].sum(), 300, at=at)[1:]
            inside.append([low <= score[300:, 0].mean() <= high, lowest <= paid[300:, 0].sum() <= highest])
        assert (np.mean(inside, axis=0) > 0.88).all()


def _calibrated(chance: np.ndarray, cost: np.ndarray, score: np.ndarray, paid: np.ndarray) -> Calibration:
    from carrot_core.outcomes import Estimates, Outcomes

    ids, models = tuple(map(str, range(len(chance)))), ("a", "b")
    estimates, outcomes = Estimates(ids, models, chance, cost), Outcomes(ids, models, score, paid)
    return Calibration().fit(estimates, outcomes, sweep(estimates, outcomes, models))


def route_long_prompts(folder: str) -> None:
    """Decide on the prompts of a folder with the memory of a few chunks."""
    serving.embed = text_vectors  # type: ignore[assignment]
    router, path = _fitted()[1], Path(folder)
    route_lines(router, ["a"], path / "warm.parquet", lam=0.3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert route_file(router, path / "p.txt", path / "d.parquet", lam=0.3).n_prompts == 800
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 << 10  # KiB


def test_long_prompts_in_bounded_memory(tmp_path: Path, forks: Forks) -> None:
    """80 MB of text."""
    with (tmp_path / "p.txt").open("w") as file:
        for number in range(800):
            file.write(f"{number} {'word and ' * 11_111}\n")
    assert forks.run(route_long_prompts, str(tmp_path)) == FINISHED


def write_prompts(path: Path, frame: pd.DataFrame) -> None:
    kind = path.suffixes[0]
    if kind == ".parquet":
        frame.to_parquet(path)
        return
    text = {
        ".csv": lambda: frame.to_csv(index=False),
        ".tsv": lambda: frame.to_csv(index=False, sep="\t"),
        ".jsonl": lambda: frame.to_json(orient="records", lines=True),
        ".txt": lambda: "\n".join(frame["prompt"]),
    }[kind]()
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return restored(pd.read_csv(path, dtype={"prompt_id": str, "prompt": str}))
    return pd.DataFrame([json.loads(line) for line in path.read_text().split("\n") if line])


def _chat(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "You are kind. " * 300}, {"role": "user", "content": question}]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv", "txt"])
def test_chats_of_a_file_are_decided_on_as_their_questions(tmp_path: Path, kind: str) -> None:
    chats, source = [_chat(text) for text in TEXTS[:30]], tmp_path / f"prompts.{kind}"
    if kind == "parquet":
        pd.DataFrame({"prompt": chats}).to_parquet(source)
    elif kind == "csv":
        pd.DataFrame({"prompt": list(map(json.dumps, chats))}).to_csv(source, index=False)
    else:
        rows = [{"prompt": chat} for chat in chats] if kind == "jsonl" else chats
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, router = _fitted()
    summary = route_file(router, source, tmp_path / "decisions.parquet", lam=0.3)
    decisions = pd.read_parquet(tmp_path / "decisions.parquet")
    assert decisions["model"].tolist() == router.route(TEXTS[:30], lam=0.3)
    assert decisions["est_score"].nunique() > 1
    assert summary.warning == ""


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_chat_of_a_file_without_a_question_is_named_by_its_row(tmp_path: Path, kind: str) -> None:
    silent = [{"role": "assistant", "content": "Yes."}]
    frame = pd.DataFrame({"prompt": [_chat("Why?"), _chat("How?"), silent]})
    source = tmp_path / f"prompts.{kind}"
    frame.to_parquet(source) if kind == "parquet" else frame.to_json(source, orient="records", lines=True)
    with pytest.raises(DataError) as refusal:
        route_file(_fitted()[1], source, tmp_path / "d.csv")
    assert [(problem.row, problem.column) for problem in refusal.value.problems] == [(3, "prompt")]
    assert not (tmp_path / "d.csv").exists()


def test_lists_that_are_no_chats_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"prompt": [["Why?"], ["How?"]]}).to_parquet(tmp_path / "prompts.parquet")
    with pytest.raises(DataError, match="neither text nor chat messages"):
        route_file(_fitted()[1], tmp_path / "prompts.parquet", tmp_path / "d.csv")


def test_prompts_that_share_a_long_beginning_are_warned_of(tmp_path: Path) -> None:
    lines = [f"{'You are a helpful assistant. ' * 60}{text}" for text in TEXTS[:20]]
    summary = route_lines(_fitted()[1], lines, tmp_path / "d.csv", lam=0.3)
    assert "20 of 20" in summary.warning
    assert summary.warning in summary.text()
