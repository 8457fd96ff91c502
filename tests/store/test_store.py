"""The store: what goes in comes out, under the names it was given."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import math
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carrot_core.benchmarks import Frames, Relation
from carrot_core.benchmarks.file_checks import private_connection
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.model_facts_arms import oracle_of_other_samples
from carrot_core.benchmarks.split import split
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.frontier import sweep
from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.prices import Price
from carrot_core.store import BenchmarkInfo, Run, Store, content
from carrot_core.store.browse import one_prompt
from carrot_core.store.console import query
from carrot_core.store.content import content_of
from carrot_core.store.intake import bring_in
from carrot_core.store.maintenance import copy_benchmark, verify
from tests.tables import frames, long_table, main_file, write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "carrot.duckdb")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("made") / "carrot.duckdb")
    store.save_benchmark("made", frames())
    return store.path


@pytest.fixture
def example(made_once: Path, tmp_path: Path) -> Store:
    """A store of the test's own that has the benchmark "made"."""
    return Store(shutil.copytree(made_once, tmp_path / made_once.name))


def a_run(bench: Benchmark, **changes: object) -> Run:
    rng = np.random.default_rng(0)
    rows = bench.part("test")
    shape = rows.outcomes.shape
    tables = {
        "test": Estimates(rows.prompt_ids, rows.models, rng.normal(size=shape), rng.random(shape)),
        "validation": Estimates(bench.prompt_ids[:2], bench.models[:2], np.eye(2), np.eye(2)),
    }  # fmt: skip
    run = Run(
        benchmark=bench.name, router="carrot-knn", params={"k": 8, "criterion": "r2"}, seed=3,
        versions={"numpy": "2"}, data_hash=bench.data_hash, cost_unit_usd=0.01, best_single=bench.models[0],
        created_at="2026-01-02T03:04:05.678900+00:00", metrics={"qnc": None, "é": 0.1}, estimates=tables,
    )  # fmt: skip
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


# Benchmarks


def test_what_is_saved_is_loaded(store: Store) -> None:
    tables = frames()
    store.save_benchmark("made", tables)
    bench = store.load("made")
    assert bench.prompt_ids == tuple(tables.prompts["prompt_id"])
    assert bench.models == ("model-a", "model-b", "model-c")
    assert bench.texts == tuple(tables.prompts["text"])
    assert bench.tasks == tuple(tables.prompts["task"])
    cells = tables.outcomes.set_index(["prompt_id", "model"])
    for name, table in (
        ("score", bench.outcomes.score),
        ("cost_usd", bench.outcomes.cost_usd),
        ("input_tokens", bench.input_tokens),
        ("output_tokens", bench.output_tokens),
    ):
        expected = cells[name].unstack().reindex(index=bench.prompt_ids, columns=bench.models)
        np.testing.assert_array_equal(table, expected.to_numpy())
    assert np.isnan(bench.outcomes.score).sum() == 60 - len(tables.outcomes)


def test_prices_come_back_as_they_were(store: Store) -> None:
    tables = frames()
    tables.models.loc[0, "output_usd_per_mtok"] = 7.0
    tables.models.loc[2, ["input_usd_per_mtok", "output_usd_per_mtok"]] = np.nan
    store.save_benchmark("made", tables)
    assert store.load("made").prices == {
        "model-a": Price(1.0, 7.0, "2026-01-01", "made up"),
        "model-b": Price(2.0, 2.0, "2026-01-01", "made up"),
    }


def test_description_counts_what_is_there(store: Store) -> None:
    tables = frames()
    info = store.save_benchmark("made", tables, split_seed=5)
    texts = tables.prompts["text"].dropna()
    assert store.benchmarks() == [info]
    assert (info.name, info.source, info.licence, info.sha256) == ("made", "made.parquet", "CC0", "0" * 64)
    assert (info.note, info.warnings, info.models) == ("by hand", ("one thing",), ("model-a", "model-b", "model-c"))
    assert (info.n_prompts, info.n_models, info.n_outcomes) == (20, 3, len(tables.outcomes))
    assert info.n_missing == 60 - len(tables.outcomes)
    assert info.n_with_text == len(texts)
    assert info.n_duplicate_prompts == len(texts) - texts.nunique()
    assert (info.split_seed, info.split_rule[:8]) == (5, "70/15/15")
    assert pd.Timestamp(info.loaded_at).tzinfo is not None


def test_split_is_that_of_the_text_and_the_seed(store: Store) -> None:
    tables = frames(n_prompts=60)
    store.save_benchmark("made", tables, split_seed=5)
    expected = split(tables.prompts["prompt_id"].tolist(), tables.prompts["text"].tolist(), seed=5)
    assert store.load("made").split.tolist() == expected.tolist()


def test_own_split_is_kept_and_its_leaks_are_told(store: Store) -> None:
    tables = frames(split=True)
    info = store.save_benchmark("made", tables)
    assert store.load("made").split.tolist() == tables.prompts["split"].tolist()
    assert "own split" in info.split_rule
    assert any("more than one side" in warning for warning in info.warnings)


def test_own_split_without_test_is_told_with_the_remedy(store: Store) -> None:
    tables = frames(split=True)
    tables.prompts["split"] = tables.prompts["split"].replace("test", "train")
    info = store.save_benchmark("made", tables)
    assert any("no test" in warning and "--split derive" in warning for warning in info.warnings)


def test_hash_depends_on_the_content_only(store: Store) -> None:
    tables = frames()
    shuffled = dataclasses.replace(
        tables,
        prompts=tables.prompts.sample(frac=1, random_state=1),
        models=tables.models.iloc[::-1],
        outcomes=tables.outcomes.sample(frac=1, random_state=2),
        warnings=(),
    )
    first = store.save_benchmark("one", tables).data_hash
    assert store.save_benchmark("two", shuffled).data_hash == first
    assert store.load("two").data_hash == first
    np.testing.assert_array_equal(store.load("one").outcomes.score, store.load("two").outcomes.score)


@pytest.mark.parametrize(
    ("part", "column", "value"),
    [
        ("outcomes", "score", 0.123),
        ("outcomes", "cost_usd", np.nan),
        ("outcomes", "output_tokens", 17.5),
        ("prompts", "text", "new"),
        ("prompts", "task", "new"),
        ("models", "input_usd_per_mtok", 9.0),
    ],
)
def test_hash_sees_every_change_of_content(part: str, column: str, value: object) -> None:
    changed = frames()
    table = getattr(changed, part)
    table.iloc[4 % len(table), table.columns.get_loc(column)] = value
    assert content_of(changed, 0).data_hash != content_of(frames(), 0).data_hash


def test_taken_name_needs_replace(example: Store) -> None:
    with pytest.raises(StoreError, match="already"):
        example.save_benchmark("made", frames(seed=1))
    np.testing.assert_array_equal(example.load("made").outcomes.score, _score(frames()))
    example.save_benchmark("made", frames(seed=1), replace=True)
    np.testing.assert_array_equal(example.load("made").outcomes.score, _score(frames(seed=1)))
    assert len(example.benchmarks()) == 1


def _score(tables: Frames) -> np.ndarray:
    return tables.outcomes.set_index(["prompt_id", "model"])["score"].unstack().to_numpy()


def test_names_and_texts_are_data_not_sql_or_markup(store: Store) -> None:
    odd = "<img src=x onerror=alert(1)>'; drop table prompts; --"
    tables = frames()
    tables.models["model"] = tables.models["model"].replace("model-a", odd)
    tables.outcomes["model"] = tables.outcomes["model"].replace("model-a", odd)
    tables.prompts.loc[0, "text"] = odd + "\0\n\u202e𝕏"
    store.save_benchmark(odd, tables)
    assert odd in store.load(odd).models
    assert store.load(odd).texts[0] == odd + "\0\n\u202e𝕏"
    store.remove_benchmark(odd)
    assert store.benchmarks() == []


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0"])
def test_name_must_be_readable(store: Store, name: str) -> None:
    with pytest.raises(CarrotError, match="no name"):
        store.save_benchmark(name, frames())


def test_texts_that_start_with_many_unknown_ones(store: Store) -> None:
    tables = frames(n_prompts=3000, n_models=2)
    tables.prompts.loc[:2990, "text"] = None
    store.save_benchmark("made", tables)
    assert store.load("made").texts == tuple(tables.prompts["text"])


def test_rules_of_the_schema_hold_against_a_careless_reader(store: Store) -> None:
    for column, value in (("score", 1.5), ("cost_usd", -1.0), ("input_tokens", np.inf)):
        wrong = frames()
        wrong.outcomes.iloc[0, wrong.outcomes.columns.get_loc(column)] = value
        with pytest.raises(StoreError, match="breaks a rule"):
            store.save_benchmark("made", wrong)
    assert store.benchmarks() == []


def test_outcome_of_an_unknown_model_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="breaks a rule"):
        store.save_benchmark("made", dataclasses.replace(frames(), models=frames().models[:2]))


@pytest.mark.parametrize("samples", [1, 2])
def test_a_file_is_stored_without_a_frame_of_its_outcomes_and_as_one_would_be(
    store: Store, tmp_path: Path, samples: int
) -> None:
    runs = [long_table(5).assign(sample=f"s{number}", score=number / 2) for number in range(samples)]
    table = pd.concat(runs, ignore_index=True).sample(frac=1, random_state=1)
    table.loc[table["model"] == "small", "cost_usd"] = None  # its price makes them
    table.loc[table["prompt_id"] == "p3", ["input_tokens", "output_tokens"]] = None
    path = write(table, tmp_path / "t.csv")
    read = partial(read_long_table, path, prices={"small": Price(1.0, 2.0)})
    lazy, whole = read(), read()
    by_file = store.save_benchmark("made", lazy).data_hash
    assert lazy.relation("prompts") is not None
    assert lazy.relation("outcomes") is not None
    copied = pickle.loads(pickle.dumps(copy.deepcopy(read())))
    with ThreadPoolExecutor(4) as threads:
        for prompts, outcomes in threads.map(lambda _: (whole.prompts, whole.outcomes), range(8)):
            pd.testing.assert_frame_equal(prompts, copied.prompts)
            pd.testing.assert_frame_equal(outcomes, copied.outcomes)
    assert len(whole.outcomes) == len(table)
    assert whole.relation("outcomes") is None
    assert content_of(dataclasses.replace(whole, prompts=whole.prompts[::-1]), 0).data_hash == by_file


def test_a_packed_table_of_long_prompts_is_stored_in_the_memory_of_its_size(store: Store, tmp_path: Path) -> None:
    text = " ".join(f"word{number % 37}" for number in range(700))[:4000]
    lines = [f"p{number},q{number} {text},{number % 2},0.001,{number % 3 % 2},0.002" for number in range(2_500)]
    path = tmp_path / "wide.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["prompt_id,prompt,a,a|cost_usd,b,b|cost_usd", *lines]).encode()))
    info = bring_in(store, "made", [path])
    assert isinstance(info, BenchmarkInfo)
    assert info.n_with_text == 2_500


@pytest.mark.parametrize(("of_each", "most"), [(10, 1000), (3 << 20, 2)])
def test_prompts_are_stored_some_bytes_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, of_each: int, most: int
) -> None:
    sizes, read = list[int](), content._staged
    monkeypatch.setattr(content, "_staged", lambda block, *args: sizes.append(len(block)) or read(block, *args))
    monkeypatch.setattr(content, "_PROMPTS_AT_A_TIME", 1)
    tables = frames()
    longer = tables.prompts.assign(text=[f"{number} ".ljust(of_each) for number in range(len(tables.prompts))])
    store.save_benchmark("made", dataclasses.replace(tables, prompts=longer))
    assert sum(sizes) == len(longer)
    assert max(sizes) == min(most, len(longer))


def test_texts_of_any_size_come_out_of_a_connection() -> None:
    with private_connection() as connection:
        reader = connection.sql("select 'a' as text").to_arrow_reader(1)
        assert reader.schema.field("text").type == pa.large_string()  # 2 GiB are the most of a plain one


@pytest.mark.parametrize("more", [0, 1, 3])
def test_means_of_samples_do_not_depend_on_what_else_is_recorded(store: Store, more: int) -> None:
    tables, numbers = frames(), [0.1, 0.2, 0.30000000000000004]
    runs = [tables.outcomes.assign(sample=str(place), score=x, cost_usd=x) for place, x in enumerate(numbers)]
    optional = dict.fromkeys(content.MORE_NUMBERS[:more], 1.0)
    sampled = pd.concat(runs, ignore_index=True).assign(**optional)
    store.save_benchmark("made", dataclasses.replace(tables, outcomes=sampled))
    outcomes = store.load("made").outcomes
    expected = pd.Series(numbers).groupby([0, 0, 0]).mean()[0]
    for table in (outcomes.score, outcomes.cost_usd):
        assert set(table[~np.isnan(table)]) == {expected}


class _NoMemory:
    def cursor(self, _: str = "") -> NoReturn:
        raise duckdb.OutOfMemoryException("Out of Memory Error: SET threads=X")

    sql = cursor


def _no_memory() -> NoReturn:
    raise OSError("Out of Memory Error: ArrowBuffer: failed to allocate")  # as Arrow's reader says it


@pytest.mark.parametrize("use", ["read", "store", "check"])
def test_lack_of_memory_names_the_source_and_the_limit(store: Store, use: str) -> None:
    tables = frames()
    relation = Relation(cast(Any, _NoMemory()), "", _no_memory)
    lazy = Frames.of_relations(relation, relation, models=tables.models, provenance=tables.provenance, warnings=())
    uses = {
        "read": lambda: lazy.prompts,
        "store": lambda: store.save_benchmark("made", lazy),
        "check": lambda: content_of(lazy, 0),
    }
    with pytest.raises(DataError, match="TABLE_MEMORY") as error:
        uses[use]()
    assert error.value.where == tables.provenance.source
    assert "SET threads" not in str(error.value)


def test_an_outcome_that_stands_twice_is_refused(store: Store) -> None:
    tables = frames()
    twice = pd.concat([tables.outcomes, tables.outcomes[3:4].assign(score=0.25)], ignore_index=True)
    with pytest.raises(StoreError, match="breaks a rule"):
        store.save_benchmark("made", dataclasses.replace(tables, outcomes=twice))


def test_nothing_to_store_is_said(store: Store) -> None:
    tables = frames()
    with pytest.raises(CarrotError, match="nothing to store"):
        store.save_benchmark(
            "made", dataclasses.replace(tables, prompts=tables.prompts[:0], outcomes=tables.outcomes[:0])
        )


def test_unknown_benchmark_lists_those_there_are(store: Store) -> None:
    with pytest.raises(NotFoundError, match="none is loaded"):
        store.load("made")
    store.save_benchmark("made", frames())
    for method in (store.load, store.remove_benchmark, store.info, store.runs):
        with pytest.raises(NotFoundError, match="made"):
            method("other")


def test_no_database_is_an_empty_list(store: Store) -> None:
    assert store.benchmarks() == []
    assert store.version() == "absent"
    assert not store.path.exists()


def test_default_place_is_home(carrot_home: Path) -> None:
    assert Store().path == Store(carrot_home / "carrot.duckdb").path == (carrot_home / "carrot.store").resolve()
    assert Store(Store().path).path == Store().path


def test_any_name_is_a_name_of_its_own(store: Store) -> None:
    names = {"made", "made-1", "..", "a/b", "a%2Fb", "a", "A", "con", "x" * 299, "x" * 300, "ö 𝕏 %2F", "1"}
    for name in names:
        store.save_benchmark(name, frames())
    for name in set(names):
        assert {info.name for info in store.benchmarks()} == names
        assert store.load(name).name == store.info(name).name == name
        store.remove_benchmark(name)
        names.remove(name)


# Vectors


def vectors_of(texts: list[str], width: int = 4) -> np.ndarray:
    return np.array([[len(text) + column for column in range(width)] for text in texts], dtype=np.float32)


def test_vectors_are_found_by_text_and_encoder(example: Store) -> None:
    texts = example.missing_texts("made", "mini")
    assert len(texts) == len(set(texts)) > 5
    example.add_vectors("mini", texts[:5], vectors_of(texts[:5]))
    assert example.load("made", encoder="mini").vectors is None
    assert example.missing_texts("made", "mini") == texts[5:]
    assert example.missing_texts("made", "other") == texts
    example.add_vectors("mini", texts[5:], vectors_of(texts[5:]))
    bench = example.load("made", encoder="mini")
    assert bench.encoder == "mini"
    assert bench.vectors is not None
    assert bench.vectors.dtype == np.float32
    for text, vector in zip(bench.texts, bench.vectors, strict=True):
        expected = np.full(4, np.nan) if text is None else vectors_of([text])[0]
        np.testing.assert_array_equal(vector, expected)
    assert example.load("made").vectors is None


def test_vector_is_replaced_by_a_newer_one(example: Store) -> None:
    texts = example.missing_texts("made", "mini")
    example.add_vectors("mini", texts, vectors_of(texts))
    example.add_vectors("mini", texts[:1], np.full((1, 4), 9.0))
    vectors = example.load("made", encoder="mini").vectors
    assert vectors is not None
    assert (vectors[0] == 9.0).all()


def test_vectors_serve_every_benchmark_with_the_text_and_go_with_the_last(store: Store) -> None:
    store.save_benchmark("one", frames())
    store.save_benchmark("two", frames())
    texts = store.missing_texts("one", "mini")
    store.add_vectors("mini", texts, vectors_of(texts))
    store.remove_benchmark("one")
    assert store.missing_texts("two", "mini") == []
    store.save_benchmark("two", frames(), replace=True)
    assert store.missing_texts("two", "mini") == []
    store.remove_benchmark("two")
    store.save_benchmark("three", frames())
    assert store.missing_texts("three", "mini") == texts


def test_vectors_of_the_same_text_are_copied_from_other_benchmarks(store: Store) -> None:
    for name in ("one", "two", "three"):
        store.save_benchmark(name, frames())
    texts = store.missing_texts("one", "mini")
    store.add_vectors("mini", texts[:3], vectors_of(texts[:3]), benchmark="one")
    store.add_vectors("mini", texts[2:5], vectors_of(texts[2:5]), benchmark="two")
    store.add_vectors("mini", texts[:1], np.full((1, 4), 9.0), benchmark="three")
    store.copy_vectors("three", "mini")
    assert store.missing_texts("three", "mini") == texts[5:]
    store.add_vectors("mini", texts[5:], vectors_of(texts[5:]), benchmark="three")
    table = dict(zip(store.load("three").texts, store.load("three", encoder="mini").vectors, strict=True))  # type: ignore[arg-type]
    np.testing.assert_array_equal(table[texts[0]], np.full(4, 9.0))  # its own stays
    np.testing.assert_array_equal([table[text] for text in texts[1:]], vectors_of(texts[1:]))
    assert len(store.missing_texts("one", "mini")) == len(texts) - 3


def test_vectors_of_a_replaced_benchmark_stay_for_the_texts_that_stay(example: Store) -> None:
    texts = example.missing_texts("made", "mini")
    example.add_vectors("mini", texts, vectors_of(texts))
    example.add_vectors("wide", texts[:2], vectors_of(texts[:2], 6))
    changed = frames()
    changed.prompts.loc[changed.prompts["text"] == texts[0], "text"] = "new"
    example.save_benchmark("made", changed, replace=True)
    assert example.missing_texts("made", "mini") == ["new"]
    assert example.missing_texts("made", "wide")[:2] == ["new", texts[2]]
    example.save_benchmark("made", frames(), replace=True)  # what was left out of the import before is gone
    assert example.missing_texts("made", "mini") == texts[:1]


def test_gathering_makes_one_file_and_drops_what_was_replaced(example: Store) -> None:
    texts = example.missing_texts("made", "mini")
    for text in texts:
        example.add_vectors("mini", [text], vectors_of([text]))
    example.add_vectors("mini", texts[:1], np.full((1, 4), 9.0))
    example.add_vectors("wide", texts[:1], np.ones((1, 2)))
    before = example.load("made", encoder="mini").vectors
    example.gather_vectors("made")
    np.testing.assert_array_equal(example.load("made", encoder="mini").vectors, before)
    assert len(list(example.path.rglob("vectors-*"))) == 2
    version = example.version("made")
    example.gather_vectors("made")  # nothing to do
    assert example.version("made") == version


def test_vectors_of_texts_of_no_benchmark_are_refused(example: Store) -> None:
    with pytest.raises(NotFoundError, match="No benchmark"):
        example.add_vectors("mini", ["nobody's"], np.ones((1, 3)))
    with pytest.raises(NotFoundError, match="made"):
        example.add_vectors("mini", ["a"], np.ones((1, 3)), benchmark="other")


@pytest.mark.parametrize("vectors", [np.zeros((1, 3)), np.zeros(2), np.full((2, 3), np.nan), np.zeros((2, 0))])
def test_vectors_that_do_not_fit_are_refused(store: Store, vectors: np.ndarray) -> None:
    with pytest.raises(CarrotError, match=r"Vectors|vector"):
        store.add_vectors("mini", ["a", "b"], vectors)


def test_one_encoder_has_one_length(example: Store) -> None:
    first, second, *_ = example.missing_texts("made", "mini")
    example.add_vectors("mini", [first], np.ones((1, 3)))
    with pytest.raises(CarrotError, match="have 3 numbers"):
        example.add_vectors("mini", [second], np.ones((1, 4)))
    example.add_vectors("other", [second], np.ones((1, 4)))


def vector_file(path: Path, ids: list[str | None], vectors: list[list[float] | None]) -> Path:
    pq.write_table(pa.table({"prompt_id": pa.array(ids, pa.string()), "embedding": vectors}), path)
    return path


def test_imported_vectors_are_renormalised_and_matched_by_id(store: Store, tmp_path: Path) -> None:
    tables = frames(n_prompts=4)
    tables.prompts["text"] = ["zero", "one", None, "three"]
    store.save_benchmark("made", tables)
    ids = ["id 00003", "unknown", "id 00000", "id 00001", "id 00002"]
    file = vector_file(tmp_path / "v.parquet", ids, [[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [5.0, 5.0]])
    assert store.import_vectors("made", file, "mini") == 3
    vectors = store.load("made", encoder="mini").vectors
    np.testing.assert_allclose(vectors, [[0, 1], [0.5**0.5, 0.5**0.5], [np.nan, np.nan], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("ids", "vectors", "says"),
    [
        (["id 00000", "id 00001"], [[1.0, 2.0], [1.0]], "row 2"),
        (["id 00000", "id 00001"], [[1.0, 2.0], None], "row 2"),
        (["id 00000", "id 00001"], [[1.0, 2.0], [1.0, np.nan]], "row 2"),
        (["id 00000", "id 00001"], [[1.0, 2.0], [0.0, 0.0]], "row 2"),
        (["id 00000", "id 00000"], [[1.0, 2.0], [1.0, 0.0]], "row 2"),
        (["id 00000", None], [[1.0, 2.0], [1.0, 0.0]], "row 2"),
        (["a", "b"], [[1.0, 2.0], [1.0, 0.0]], "no id is that of a prompt"),
        ([], [], "no rows"),
    ],
)
def test_vector_file_that_is_wrong(
    example: Store, tmp_path: Path, ids: list[str | None], vectors: list[list[float] | None], says: str
) -> None:
    file = vector_file(tmp_path / "v.parquet", ids, vectors)
    with pytest.raises(DataError, match=says):
        example.import_vectors("made", file, "mini")


def test_a_vector_file_is_read_without_keeping_what_is_not_wanted(example: Store, tmp_path: Path) -> None:
    path, wide = tmp_path / "v.parquet", [0.5] * 384
    ids = ["id 00001", *map(str, range(5000)), "id 00000"]
    assert example.import_vectors("made", vector_file(path, ids, [wide] * len(ids)), "wide") == 2
    with pytest.raises(DataError, match=r"row 5,003.*already has a vector"):
        example.import_vectors("made", vector_file(path, [*ids, "id 00001"], [wide] * (len(ids) + 1)), "wide")
    with pytest.raises(DataError, match=r"row 5,002.*have 384 numbers"):
        example.import_vectors("made", vector_file(path, ids, [*[wide] * 5001, [0.5]]), "wide")
    many = pa.table({"prompt_id": ["x"] * 1000, "embedding": [wide] * 1000})
    with pq.ParquetWriter(path, many.schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(many)
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(DataError, match=r"row 2.*already has a vector"):
        example.import_vectors("made", path, "wide")
    assert pa.default_memory_pool().max_memory() <= max(before, 50 << 20)  # of 180 MB


def test_vectors_of_the_bundled_encoder_have_its_length(example: Store, tmp_path: Path) -> None:
    file = vector_file(tmp_path / "v.parquet", ["id 00000"], [[1.0, 2.0]])
    with pytest.raises(DataError, match="384"):
        example.import_vectors("made", file, "all-MiniLM-L6-v2")


def test_vector_file_that_is_none(example: Store, tmp_path: Path) -> None:
    (tmp_path / "v.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a Parquet file"):
        example.import_vectors("made", tmp_path / "v.parquet", "mini")
    with pytest.raises(NotFoundError, match="absent"):
        example.import_vectors("made", tmp_path / "absent.parquet", "mini")
    for columns in ({"prompt_id": ["id 00000"], "embedding": ["text"]}, {"prompt_id": ["id 00000"]}):
        pq.write_table(pa.table(columns), tmp_path / "w.parquet")
        with pytest.raises(DataError, match="not a Parquet file"):
            example.import_vectors("made", tmp_path / "w.parquet", "mini")


# Runs


def test_run_comes_back_with_its_tables(example: Store) -> None:
    run = a_run(example.load("made"))
    example.save_run(run)
    loaded = example.load_run(run.run_id)
    assert dataclasses.replace(loaded, estimates=None) == dataclasses.replace(run, estimates=None)
    assert loaded.run_id == run.run_id
    assert loaded.estimates is not None
    assert run.estimates is not None
    assert loaded.estimates.keys() == run.estimates.keys()
    for name, table in run.estimates.items():
        back = loaded.estimates[name]
        assert (back.prompt_ids, back.models) == (table.prompt_ids, table.models)
        np.testing.assert_array_equal(back.score, table.score)
        np.testing.assert_array_equal(back.cost_usd, table.cost_usd)


def test_a_run_carries_its_fitted_router_and_the_list_of_runs_does_not(example: Store) -> None:
    run = a_run(example.load("made"), router_json='{"format": 1}', router_safetensors=bytes(range(256)) * 5000)
    example.save_run(run)
    loaded = example.load_run(run.run_id, router=True)
    assert (loaded.router_json, loaded.router_safetensors) == (run.router_json, run.router_safetensors)
    (listed,) = example.runs("made")
    assert (listed.router_json, listed.router_safetensors) == (None, None)
    example.save_run(dataclasses.replace(run, router_json=None, router_safetensors=None))
    loaded = example.load_run(run.run_id, router=True)
    assert (loaded.router_json, loaded.router_safetensors) == (None, None)


def test_runs_of_one_moment_are_listed_newest_first(example: Store) -> None:
    bench = example.load("made")
    for seed in (2, 0, 1):
        example.save_run(a_run(bench, seed=seed, estimates=None))
    example.save_run(a_run(bench, seed=9, estimates=None, created_at="2025-01-01T00:00:00+00:00"))
    assert [run.seed for run in example.runs("made")] == [1, 0, 2, 9]


def test_run_of_the_same_identity_is_replaced_and_others_stay(example: Store) -> None:
    bench = example.load("made")
    first, other = a_run(bench), a_run(bench, pool=("model-b", "model-a"))
    again = a_run(bench, metrics={"qnc": 0.5}, created_at="2026-01-03T00:00:00+00:00")
    for run in (first, other, again):
        example.save_run(run)
    assert [run.metrics for run in example.runs("made")] == [again.metrics, other.metrics]
    assert [run.estimates for run in example.runs("made")] == [None, None]


def test_identity_of_a_run_is_what_was_asked_for(example: Store) -> None:
    bench = example.load("made")
    run_id = a_run(bench).run_id
    for change in ({"router": "x"}, {"params": {"k": 9}}, {"seed": 4}, {"fit_on": "other"}, {"pool": ("model-a",)}):
        assert a_run(bench, **change).run_id != run_id  # type: ignore[arg-type]
    assert a_run(bench, metrics={}, created_at="2020-01-01").run_id == run_id
    assert a_run(bench, pool=("a", "b")).run_id == a_run(bench, pool=("b", "a")).run_id


def test_runs_go_with_the_benchmark_they_were_evaluated_or_fitted_on(store: Store) -> None:
    for name in ("one", "two", "three"):
        store.save_benchmark(name, frames())
    store.save_run(a_run(store.load("one")))
    store.save_run(a_run(store.load("two"), fit_on="one"))
    third = a_run(store.load("three"), fit_on="two")
    store.save_run(third)
    store.save_benchmark("one", frames(seed=1), replace=True)
    assert (store.runs("one"), store.runs("two")) == ([], [])
    assert [run.run_id for run in store.runs("three")] == [third.run_id]


def test_run_with_what_json_cannot_hold_is_refused(example: Store) -> None:
    with pytest.raises(CarrotError, match="metrics"):
        example.save_run(a_run(example.load("made"), metrics={"qnc": float("nan")}))


def test_run_on_prompts_the_benchmark_has_not_is_refused(example: Store) -> None:
    table = Estimates(("nowhere",), ("model-a",), np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(NotFoundError, match="nowhere"):
        example.save_run(a_run(example.load("made"), estimates={"test": table}))
    assert example.runs("made") == []


def test_unknown_run(example: Store) -> None:
    with pytest.raises(NotFoundError, match="no run"):
        example.load_run("0" * 64)


# Real files


def test_real_benchmark_with_its_vectors(store: Store, shared_data: Path) -> None:
    store.save_benchmark("rb", read_long_table(shared_data / "routerbench-subset/routerbench_0shot.parquet"))
    count = store.import_vectors("rb", shared_data / "embeddings/routerbench_0shot.parquet", "all-MiniLM-L6-v2")
    bench = store.load("rb", encoder="all-MiniLM-L6-v2")
    assert bench.usage == "cost_usd"
    assert bench.outcomes.shape == (6630, 11)
    assert bench.vectors is not None
    known = ~np.isnan(bench.vectors[:, 0])
    assert known.sum() == count == store.info("rb").n_with_text
    assert [text is not None for text in bench.texts] == known.tolist()
    np.testing.assert_allclose(np.linalg.norm(bench.vectors[known], axis=1), 1.0, atol=1e-6)
    by_text: dict[str, set[str]] = {}
    for text, side in zip(bench.texts, bench.split, strict=True):
        if text is not None:
            by_text.setdefault(text.strip(), set()).add(str(side))
    assert max(map(len, by_text.values())) == 1


# Columns that not every benchmark has


def with_more(tables: Frames) -> Frames:
    """The frames with latency, cached tokens and times, each missing somewhere."""
    n = len(tables.outcomes)
    more = {
        "latency_s": np.where(np.arange(n) % 3 == 0, np.nan, np.arange(n) / 8),
        "cached_input_tokens": np.arange(n) * 1.0,
        "time": [None if row % 5 == 0 else f"2026-01-01T00:00:{row:02}.000000Z" for row in range(n)],
    }
    return dataclasses.replace(tables, outcomes=tables.outcomes.assign(**more))


def test_columns_that_came_later_are_loaded_and_follow_their_cells(store: Store) -> None:
    tables = with_more(frames())
    store.save_benchmark("more", tables)
    bench = store.load("more")
    cells = tables.outcomes.set_index(["prompt_id", "model"])
    ids, models = bench.prompt_ids[3:9], bench.models[::-1]
    part = bench.rows(np.arange(3, 9)).pool(models)
    for name in ("latency_s", "cached_input_tokens"):
        expected = cells[name].unstack().reindex(index=ids, columns=models)
        np.testing.assert_array_equal(getattr(part, name), expected.to_numpy())
    assert bench.reasoning_tokens is None
    with store.reading("more") as connection:
        assert len(connection.execute("select time from outcomes where time is not null").fetchall()) == (
            tables.outcomes["time"].notna().sum()
        )


def test_they_count_for_the_hash_where_there_is_anything_in_them(store: Store) -> None:
    plain = store.save_benchmark("plain", frames()).data_hash
    empty = frames().outcomes.assign(latency_s=np.nan, time=None)
    assert store.save_benchmark("empty", dataclasses.replace(frames(), outcomes=empty)).data_hash == plain
    more = store.save_benchmark("more", with_more(frames())).data_hash
    later = with_more(frames())
    later.outcomes["time"] = later.outcomes["time"].str.replace("2026", "2027")
    assert len({plain, more, store.save_benchmark("later", later).data_hash}) == 3
    assert [(finding.benchmark, finding.data) for finding in verify(store)] == [
        (name, "") for name in ("empty", "later", "more", "plain")
    ]


def test_a_file_of_the_schema_before_is_read_and_copied(store: Store, tmp_path: Path) -> None:
    info = store.save_benchmark("old", frames())
    with duckdb.connect(str(main_file(store, "old"))) as connection:
        view = "select sql from duckdb_views() where view_name = 'results'"
        ((results,),) = connection.execute(view).fetchall()
        connection.execute("drop view results; drop table samples")
        for name in (
            "cached_input_tokens",
            "reasoning_tokens",
            "latency_s",
            "time",
            "n_samples",
            "score_variance",
            "cost_variance",
        ):
            connection.execute(f"alter table outcomes drop {name}")
        connection.execute(results)
        connection.execute("update schema_version set version = 2")
    bench = store.load("old")
    assert bench.latency_s is None
    assert bench.data_hash == info.data_hash
    assert [finding.data for finding in verify(store)] == [""]
    store.save_benchmark("new", with_more(frames()))
    known = query(store, "select count(latency_s) > 0 as known from outcomes group by benchmark").frame
    assert sorted(known["known"]) == [False, True]
    target = Store(tmp_path / "copies")
    assert copy_benchmark(store, "old", target).data_hash == info.data_hash
    np.testing.assert_array_equal(target.load("old").outcomes.score, bench.outcomes.score)


# Samples


def with_samples(tables: Frames, differing: bool = True) -> Frames:
    """The frames with a second run of every other cell, and a third one of the first."""
    again, third = tables.outcomes.iloc[::2].copy(), tables.outcomes.iloc[:1].copy()
    if differing:
        again["score"], third["score"] = 1 - again["score"], 0.25
    again["cost_usd"] *= 3
    third["cost_usd"] = np.nan
    runs = [frame.assign(sample=str(number)) for number, frame in enumerate((tables.outcomes, again, third))]
    return dataclasses.replace(tables, outcomes=pd.concat(runs).sample(frac=1.0, random_state=1))


def means(samples: FloatTable) -> FloatTable:
    """(n, M) means over the samples of each cell, NaN where there is none."""
    return np.asarray(np.ma.masked_invalid(samples).mean(axis=2).filled(np.nan))


def test_cells_are_means_of_their_samples_and_the_samples_are_kept(store: Store) -> None:
    tables = with_samples(frames())
    info = store.save_benchmark("several", tables)
    bench = store.load("several")
    cells = tables.outcomes.groupby(["prompt_id", "model"])
    for name, table in (("score", bench.outcomes.score), ("cost_usd", bench.outcomes.cost_usd)):
        expected = cells[name].mean().unstack().reindex(index=bench.prompt_ids, columns=bench.models)
        np.testing.assert_allclose(table, expected.to_numpy(), rtol=1e-15)
    assert bench.sample_score is not None
    assert bench.sample_score.shape == (*bench.outcomes.shape, 3)
    np.testing.assert_array_equal(
        np.sort(bench.sample_score[~np.isnan(bench.sample_score)]), np.sort(tables.outcomes["score"])
    )
    np.testing.assert_allclose(means(bench.sample_score), bench.outcomes.score)
    spread = cells["score"].var()
    differing = (cells["score"].nunique() > 1).sum()
    assert (info.n_outcomes, info.n_extra_runs, info.n_samples) == (len(cells), len(tables.outcomes) - len(cells), 3)
    assert (info.n_repeated, info.n_differing) == (spread.notna().sum(), differing)
    assert info.score_spread == pytest.approx(math.sqrt(spread.mean()))
    with store.reading("several") as connection:
        (variance,) = connection.execute("select sum(cost_variance) from outcomes").fetchall()[0]
    assert variance == pytest.approx(cells["cost_usd"].var().sum())


def test_samples_follow_their_prompts_and_models(store: Store) -> None:
    store.save_benchmark("several", with_samples(frames()))
    bench = store.load("several")
    part = bench.rows(np.arange(5, 11)).pool(bench.models[::-1])
    assert part.sample_score is not None
    np.testing.assert_allclose(means(part.sample_score), part.outcomes.score)


def test_samples_count_for_the_hash_and_go_with_a_copy(store: Store, tmp_path: Path) -> None:
    info = store.save_benchmark("several", with_samples(frames()))
    other = with_samples(frames())
    other.outcomes.loc[other.outcomes["sample"] == "2", "score"] = 0.75
    assert store.save_benchmark("other", other).data_hash != info.data_hash
    assert [finding.data for finding in verify(store)] == ["", ""]
    target = Store(tmp_path / "copies")
    copy_benchmark(store, "several", target)
    np.testing.assert_array_equal(target.load("several").sample_score, store.load("several").sample_score)


def test_one_sample_of_every_cell_is_a_benchmark_as_any_other(store: Store) -> None:
    plain = store.save_benchmark("plain", frames())
    named = dataclasses.replace(frames(), outcomes=frames().outcomes.assign(sample="1"))
    assert store.save_benchmark("named", named).data_hash == plain.data_hash
    assert (plain.n_extra_runs, plain.n_repeated, plain.samples_text) == (0, 0, "")
    assert store.load("named").sample_score is None


def test_equal_samples_do_not_differ(store: Store) -> None:
    tables = with_samples(frames(), differing=False)
    tables.outcomes["score"] = 0.1  # which no sum of three is exactly three times of
    info = store.save_benchmark("alike", tables)
    assert (info.n_differing, info.score_spread) == (0, 0.0)


def test_three_samples_a_cell_of_a_real_benchmark(store: Store, shared_data: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(shared_data / "misguided-attention" / "misguided_attention_samples.parquet")
    # It states no dollars; and one of its prompts was reworded on the way.
    table = table.assign(cost_usd=table["chars"] / 1e7, prompt=table.groupby("prompt_id")["prompt"].transform("first"))
    table.to_parquet(tmp_path / "runs.parquet")
    info = store.save_benchmark("misguided", read_long_table(tmp_path / "runs.parquet", columns={"time": "ts"}))
    cells = table.groupby(["prompt_id", "model"])["score"]
    assert info.n_differing == (cells.nunique() > 1).sum()
    assert info.n_differing / info.n_repeated == pytest.approx(0.23, abs=0.005)  # as its description says
    assert info.score_spread == pytest.approx(0.247, abs=0.0005)
    bench = store.load("misguided")
    known = cells.mean().unstack().reindex(index=bench.prompt_ids, columns=bench.models)
    np.testing.assert_allclose(bench.outcomes.score, known.to_numpy())
    assert bench.sample_score is not None
    several = ((~np.isnan(bench.sample_score)).sum(axis=2) > 1).all(axis=0)
    pool = bench.pool([model for model, is_whole in zip(bench.models, several, strict=True) if is_whole])
    naive = pool.outcomes.score.max(axis=1).mean()
    rows = np.arange(len(pool.prompt_ids))
    folds = oracle_of_other_samples(pool)
    other = np.mean(
        [outcomes.score[rows, sweep(estimates, outcomes).choices(0.0)].mean() for estimates, outcomes in folds]
    )
    assert 0.5 < other < naive - 0.01


def test_tokens_of_free_models_come_back_with_a_run_and_older_runs_have_none(example: Store) -> None:
    run = a_run(example.load("made"))
    assert run.estimates is not None
    with_tokens = {
        split: dataclasses.replace(table, output_tokens=1000 * table.score + 1)
        for split, table in run.estimates.items()
    }
    example.save_run(dataclasses.replace(run, estimates=with_tokens))
    back = example.load_run(run.run_id).estimates
    assert back is not None
    for side, table in with_tokens.items():
        np.testing.assert_array_equal(back[side].output_tokens, table.output_tokens)
        some = back[side].rows(np.array([1, 0])).pool(table.models[::-1])
        assert table.output_tokens is not None
        np.testing.assert_array_equal(some.output_tokens, table.output_tokens[[1, 0]][:, ::-1])
    files = example.folder("made").files()
    assert files is not None
    (path,) = files.of("run-")
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table estimates drop est_output_tokens")
        connection.execute("update schema_version set version = 2")
    older = example.load_run(run.run_id).estimates
    assert older is not None
    assert all(table.output_tokens is None for table in older.values())


def _with_texts(texts: list[str | None], sides: list[str] | None = None) -> Frames:
    """Frames of as many prompts as texts, with a split of their own or none."""
    tables = frames(n_prompts=len(texts))
    tables.prompts["text"] = pd.Series(texts, dtype=object)
    tables.prompts["split"] = pd.Series(sides or [None] * len(texts), dtype=object)
    return tables


def test_of_a_chat_the_question_is_the_text_and_the_whole_is_kept(store: Store) -> None:
    chats = [
        json.dumps([{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}, *more])
        for question, more in (("Why?", []), ("Why?", [{"role": "assistant", "content": "So."}]), ("\ud83e!", []))
    ]
    info = store.save_benchmark("chats", _with_texts([*chats, "plain", None]))
    assert store.load("chats").texts == ("Why?", "Why?", "\ufffd!", "plain", None)
    assert store.missing_texts("chats", "any") == ["Why?", "\ufffd!", "plain"]
    wholes = [one_prompt(store, "chats", f"id {number:05d}").messages for number in range(5)]
    assert wholes == [*chats, None, None]
    assert info.n_duplicate_prompts == 1
    assert any("3 prompts are chat messages" in warning for warning in info.warnings)
    assert [finding.data for finding in verify(store)] == [""]
    other = store.save_benchmark("others", _with_texts(["Why?", "Why?", "\ufffd!", "plain", None]))
    assert other.data_hash != info.data_hash


def test_chats_with_the_same_question_stay_on_one_side(store: Store) -> None:
    chats = [
        json.dumps([{"role": "system", "content": f"Rule {number}"}, {"role": "user", "content": f"Q{number % 30}"}])
        for number in range(120)
    ]
    store.save_benchmark("chats", _with_texts(list(chats)))
    bench = store.load("chats")
    sides = pd.DataFrame({"text": bench.texts, "side": bench.split}).groupby("text")["side"].nunique()
    assert (len(sides), sides.max()) == (30, 1)


def test_a_shared_beginning_that_fills_the_window_is_warned_of(store: Store) -> None:
    texts = [f"{'You are a helpful assistant. ' * 60}Question {number}?" for number in range(20)]
    assert any("20 of 20" in warning for warning in store.save_benchmark("alike", _with_texts(list(texts))).warnings)
    own = [f"Question {number}? {'More of it. ' * 200}" for number in range(20)]
    assert not any("begin" in warning for warning in store.save_benchmark("own", _with_texts(list(own))).warnings)


def test_validation_is_taken_out_of_train_where_the_source_has_none(store: Store) -> None:
    texts: list[str | None] = [f"text {number // 2}" for number in range(400)]
    sides = ["test" if number % 400 >= 300 else "train" for number in range(400)]
    info = store.save_benchmark("two", _with_texts(texts, sides), split_seed=3)
    bench = store.load("two")
    assert bench.split[300:].tolist() == ["test"] * 100
    counts = pd.Series(bench.split[:300]).value_counts()
    assert counts.to_dict() == {"train": pytest.approx(300 * 70 / 85, abs=2), "validation": pytest.approx(53, abs=2)}
    assert pd.DataFrame({"text": bench.texts, "side": bench.split}).groupby("text")["side"].nunique().max() == 1
    assert info.has_own_split
    assert any("out of train" in warning for warning in info.warnings)
    again = store.save_benchmark("again", _with_texts(texts, sides), split_seed=4)
    assert again.data_hash != info.data_hash
