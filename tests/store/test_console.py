"""The SQL console: it answers, and nothing that is asked of it gets out, changes anything or goes on for ever."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carrot_core import limits
from carrot_core.benchmarks import NONE_STATED, NOT_EXPORTED
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation.runs import run_router
from carrot_core.store import Store
from carrot_core.store.console import query, schema
from tests.tables import frames, main_file

pytestmark = pytest.mark.slow

FIRST = frames()


TEXTS = FIRST.prompts["text"].dropna()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("it's here")
    (folder / "secret.csv").write_text("secret\n1\n")
    Store(folder / "private.duckdb").save_benchmark("private", frames(seed=1))
    store = Store(folder / "carrot.duckdb")
    store.save_benchmark("first", FIRST)
    return store


def test_answers_are_those_of_the_data(store: Store) -> None:
    answer = query(store, "select model, count(*) as n, avg(score) as score from results group by model order by model")
    expected = FIRST.outcomes.groupby("model")["score"].agg(["size", "mean"])
    assert answer.frame["model"].tolist() == expected.index.tolist()
    assert answer.frame["n"].tolist() == expected["size"].tolist()
    assert answer.frame["score"].tolist() == pytest.approx(expected["mean"].tolist())
    assert answer.note == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select 1;",
        "with a as (select 1 as x) select * from a",
        "from benchmarks",
        "values (1)",
        "describe results",
        "show tables",
        "summarize prompts",
        "explain select 1",
        "EXPLAIN (FORMAT JSON) select 1",
        "explain analyze select count(*) from results",
    ],
)
def test_statements_that_read_are_answered(store: Store, sql: str) -> None:
    assert len(query(store, sql).frame) > 0


def test_the_schema_names_every_table_and_the_view(store: Store) -> None:
    result = schema(store)
    assert {"benchmarks", "models", "prompts", "outcomes", "runs", "results"} <= set(result["table"])
    assert result[result["table"] == "results"]["column"].tolist()[:2] == ["benchmark", "prompt_id"]


# Texts that are not to be passed on


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One benchmark that was published without a licence, one with, one of the user's own."""
    store = Store(tmp_path_factory.mktemp("mixed") / "carrot.duckdb")
    for name, licence in (("published", NONE_STATED), ("free", "CC0"), ("own", "")):
        store.save_benchmark(name, replace(FIRST, provenance=replace(FIRST.provenance, licence=licence)))
    return store


@pytest.mark.parametrize(("name", "private"), [("published", True), ("free", False), ("own", False)])
@pytest.mark.parametrize("table", ["prompts", "main.prompts", "carrot.prompts", "carrot.main.prompts"])
def test_texts_of_a_source_without_a_licence_are_in_no_answer(
    mixed: Store, name: str, private: bool, table: str
) -> None:
    answer = query(mixed, f"select text from {table} join benchmarks using (benchmark) where name = '{name}'")
    result = answer.frame["text"].dropna().tolist()
    assert sorted(result) == sorted([NOT_EXPORTED] * len(TEXTS) if private else TEXTS)
    assert len(answer.frame) == len(FIRST.prompts)  # a prompt without text has none


def test_chats_of_a_source_without_a_licence_are_in_no_answer_either(tmp_path: Path) -> None:
    store, chat = Store(tmp_path / "carrot.duckdb"), json.dumps([{"role": "user", "content": "Why?"}])
    chats = replace(FIRST, prompts=FIRST.prompts.assign(text=chat))
    for name, licence in (("published", NONE_STATED), ("free", "CC0")):
        store.save_benchmark(name, replace(chats, provenance=replace(FIRST.provenance, licence=licence)))
    answer = query(
        store, "select distinct name, text, messages from prompts join benchmarks using (benchmark) order by 1"
    )
    assert answer.frame.to_numpy().tolist() == [["free", "Why?", chat], ["published", NOT_EXPORTED, NOT_EXPORTED]]


WAYS_AROUND = [
    "select count(*) from prompts where benchmark = 1 and contains(text, 'text 0')",
    "select count(*) from (select min(text) as t from prompts where benchmark = 1) where t like 'text%'",
    "select count(*) from (from query('from prompts where benchmark = 1')) where text like 'text%'",
    "select count(*) from (from query_table('prompts')) where benchmark = 1 and text like 'text%'",
    "select count(*) from (select unnest(p) from prompts p where benchmark = 1) where text like 'text%'",
]


@pytest.mark.parametrize("sql", WAYS_AROUND)
def test_nothing_can_be_learned_of_them_by_a_condition(mixed: Store, sql: str) -> None:
    assert query(mixed, sql).frame.iloc[0, 0] == 0
    assert query(mixed, sql.replace("benchmark = 1", "benchmark = 2")).frame.iloc[0, 0] > 0


@pytest.mark.parametrize(
    "told_of", ["text", "text || 'x'", "text[:3]", "coalesce(text, 'x')", "struct_pack(t := text)"]
)
def test_statistics_tell_nothing_of_them(mixed: Store, told_of: str) -> None:
    answer = query(mixed, f"select stats({told_of}) from prompts limit 1").frame.iloc[0, 0]
    assert not any(known in answer for known in ("max", "min", *TEXTS.str[:5]))


@pytest.mark.parametrize(
    "sql",
    [
        "from query((select 'from ' || database_name || '.prompts' from duckdb_databases() limit 1))",
        "from query_table((select database_name || '.main.prompts' from duckdb_databases() limit 1))",
        "from file.prompts",
    ],
)
def test_the_file_behind_the_views_goes_by_no_name_a_query_could_use(mixed: Store, sql: str) -> None:
    with pytest.raises(CarrotError):
        query(mixed, sql)
    names = [
        query(mixed, "select string_agg(distinct database_name) as names from duckdb_columns()").frame["names"][0]
        for _ in range(2)
    ]
    assert names[0] != names[1]


# What would get out

FILES = {"private": "private", "carrot": "first"}


def attacks(folder: Path) -> dict[str, str]:
    """Ways to reach a file, a network, a setting, another store or the environment, or to change something."""
    files = {
        name: main_file(Store(folder / f"{name}.duckdb"), first) for name, first in FILES.items() if folder.is_dir()
    }
    paths = {"secret": folder / "secret.csv", "out": folder / "out", "private": "x", "carrot": "x"} | files
    statements = [
        "copy outcomes to '{out}.csv'",
        "copy (select 1) to '{out}.parquet'",
        "explain analyze copy outcomes to '{out}.csv'",
        "/* */ explain analyze copy outcomes to '{out}.csv'",
        "export database '{out}'",
        "attach '{private}' as other",
        "attach '{out}.duckdb' as other",
        "detach carrot",
        "use memory",
        "install httpfs",
        "load httpfs",
        "from '{secret}'",
        "from read_csv('{secret}')",
        "from sniff_csv('{secret}')",
        "from read_text('{secret}')",
        "from read_blob('{carrot}')",
        "from read_blob('{private}')",
        "from read_parquet('{private}')",
        "from read_json('/proc/self/environ')",
        "from read_text('/proc/self/environ')",
        "from parquet_metadata('{secret}')",
        "from glob('*')",
        "from read_text('http://localhost:1/')",
        "from read_csv('s3://bucket/key')",
        "select (select content from read_text('{secret}'))",
        "from query('from read_text(''{secret}'')')",
        "from query('copy outcomes to ''{out}''')",
        "from query_table('{secret}')",
        "pragma database_list",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
        "reset lock_configuration",
        "select set_config('threads', '8')",
        "select 1; select 2",
        "select 1; copy outcomes to '{out}.csv'",
        "delete from outcomes",
        "with gone as (delete from outcomes returning *) from gone",
        "insert into schema_version values (2)",
        "create table x as select 1",
        "create temp table x as select 1",
        "explain analyze create table memory.x as select 1",
        "drop table outcomes",
        "create macro f() as 1",
        "create secret s (type s3)",
        "call pragma_version()",
        "checkpoint",
        "begin",
        "prepare p as select 1",
        "vacuum",
        "select getenv('HOME')",
        "select getenv('CARROT_HOME')",
        "from private.benchmarks",
        "from fitted_routers",
        "from query((select sql from duckdb_views() where view_name = 'prompts'))",
        "from secret",
        "select",
        "",
        "-- nothing",
        "\ud800",
        "select " + "(" * 5000 + "1" + ")" * 5000,
        "x" * (limits.SQL_CHARACTERS + 1),
    ]
    return {statement[:60]: statement.format(**paths) for statement in statements}


@pytest.mark.parametrize("name", list(attacks(Path("x"))))
def test_an_attack_is_refused_and_changes_nothing(store: Store, name: str) -> None:
    folder = store.path.parent
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
    with pytest.raises(CarrotError):
        query(store, attacks(folder)[name])
    assert {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "sql",
    [
        "select path from duckdb_databases()",
        "from pg_settings",
        "explain analyze from duckdb_databases()",
        "select current_setting('allowed_paths') as x",
        "select 'allowed_paths'.\"Current_Setting\"() as x",
        "from query('from duckdb_data' || 'bases()')",
        r"from query(E'select \x63urrent_setting(''allowed_paths'') as x')",
        "from query('from query(''select current_setting(allowed_paths) as x'')')",
        "from query_table('duckdb_settings')",
    ],
)
def test_where_the_files_lie_is_not_told(store: Store, sql: str) -> None:
    with pytest.raises(CarrotError) as caught:
        query(store, sql)
    assert str(store.path.parent) not in str(caught.value)


def test_a_sum_of_many_terms_is_answered(store: Store) -> None:
    assert query(store, f"select {' + '.join(['1'] * 300)} as sum").frame["sum"].tolist() == [300]


@pytest.mark.parametrize(("terms", "limit"), [(400, "300"), (1100, "1000")])
def test_a_sum_of_too_many_terms_names_the_limit(store: Store, terms: int, limit: str) -> None:
    with pytest.raises(CarrotError, match=rf"more than (about )?{limit} terms"):
        query(store, "select " + "+".join(["1"] * terms))


def test_only_so_many_rows_come_back_and_it_is_said(store: Store) -> None:
    answer = query(store, "from range(1000000000000)", max_rows=50)
    assert answer.frame["range"].tolist() == list(range(50))
    assert "first 50 rows" in answer.note
    assert query(store, "from range(50)", max_rows=50).note == ""


def test_only_so_much_text_comes_back_and_it_is_said(store: Store) -> None:
    answer = query(store, "select repeat('x', 20000) as long")
    assert len(answer.frame["long"][0]) == limits.SQL_VALUE_CHARACTERS + 1
    assert "cut" in answer.note
    answer = query(store, "select repeat('x', 9000) as long from range(5000)")
    assert 500 < len(answer.frame) < 2000
    assert "the answer is large" in answer.note


@pytest.mark.parametrize(
    "endless",
    [
        "with recursive t(x) as (select 1 union all select x + 1 from t) select max(x) from t",
        "select count(*) from range(100000000000)",
        "select lpad('x', 2000000000, 'y')",  # one call that cannot be interrupted
    ],
)
def test_a_query_without_end_is_stopped(store: Store, endless: str) -> None:
    with pytest.raises(CarrotError, match=r"stopped after 1\.5 s|more memory"):
        query(store, endless, time_limit_s=1.5)


@pytest.mark.parametrize(
    "bomb",
    [
        "select range(1000000000)",  # 20 GB under DuckDB's own limit of 512 MB
        "select repeat('x', 2000000000)",
        "select list(range) from range(1000000000)",
        "select list_transform(range(100000000), lambda x: repeat('y', 100))",
    ],
)
def test_a_query_that_fills_the_memory_is_ended(store: Store, bomb: str) -> None:
    with pytest.raises(CarrotError, match="more memory"):
        query(store, bomb, time_limit_s=60)  # a busy machine fills it slowly


def test_values_of_every_kind_come_back(store: Store) -> None:
    frame = query(
        store,
        "select 170141183460469231731687303715884105727::hugeint as huge, 1.5::decimal(5, 2) as exact, "
        "date '2020-01-02' as day, [1, 2] as list, null as nothing, 'nan'::double as gap, true as yes, 1 as a, 2 as a",
    ).frame
    row = frame.iloc[0].to_dict()
    assert row["huge"] == "170141183460469231731687303715884105727"
    assert (row["exact"], row["day"], row["list"]) == (1.5, "2020-01-02", "[1, 2]")
    assert bool(row["yes"])
    assert frame.columns.is_unique


def test_whole_numbers_stay_whole_beside_a_gap(store: Store) -> None:
    frame = query(store, "select * from (values (9007199254740993), (null)) t(n)").frame
    assert frame["n"][0] == 9007199254740993


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("select modle from outcomes", ["modle", "character 8", "model"]),
        ("select model\nfrom outcomse", ["outcomse", "line 2, character 6", "outcomes"]),
        ("select lenght(model) from outcomes", ["lenght", "length"]),
        ("select model from outcomes wher score > 1 and", ['at "score"']),
        ("select model = 'x from outcomes", ["quote is not closed"]),
        ("select model::double from results", ["'model'", "no number", "try_cast"]),
        ("select sum(model) from results", ["sum", "VARCHAR", "cast("]),
        ("select score, count(*) from outcomes group by model", ["score", "GROUP BY"]),
        ("from read_text('/etc/passwd')", ["out of its reach"]),
        ("select error('/etc/passwd')", ["function"]),
    ],
)
def test_a_mistake_is_named_with_a_remedy_in_our_own_words(store: Store, sql: str, parts: list[str]) -> None:
    with pytest.raises(CarrotError) as caught:
        query(store, sql)
    assert [part for part in parts if part not in str(caught.value)] == []
    assert not re.search(r"Error:|LINE |Candidate|Did you mean|/etc", str(caught.value))


def test_no_database_yet(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="import a benchmark"):
        query(Store(tmp_path / "carrot.duckdb"), "select 1")


def test_a_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("first", FIRST)
    main_file(store).write_bytes(main_file(store).read_bytes()[:9000])
    with pytest.raises(CarrotError):
        query(store, "from outcomes")
    store.save_benchmark("second", frames(seed=1))
    answer = query(store, "select distinct benchmark from results")
    assert answer.frame["benchmark"].tolist() == ["second"]
    assert "first" in answer.note


def test_all_benchmarks_are_asked_at_once_with_their_vectors_and_runs(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    for number, name in enumerate(("b", "c", "a")):
        store.save_benchmark(name, frames(seed=number, split=True))
        texts = store.missing_texts(name, "mini")
        for block in (texts[:3], texts[3 : 3 + number]):
            store.add_vectors("mini", block, np.ones((len(block), 2)), benchmark=name)
        for seed in range(number):
            run_router(store, store.load(name), "zero", seed=seed)
    names = query(store, "select benchmark, name from benchmarks order by benchmark").frame
    assert list(names.itertuples(index=False, name=None)) == [(1, "b"), (2, "c"), (3, "a")]
    numbers = "select name, count(distinct {}) as n from {} right join benchmarks using (benchmark) group by name"
    for column, table, expected in (
        ("prompt", "prompts", (20, 20, 20)),
        ("text_sha256", "embeddings", (3, 4, 5)),
        ("run", "runs", (0, 1, 2)),
    ):
        counts = query(store, numbers.format(column, table)).frame.set_index("name")["n"]
        assert (counts["b"], counts["c"], counts["a"]) == expected
    estimates = query(
        store,
        "select name, run_id, count(*) as n from estimates join runs using (run) "
        "join benchmarks using (benchmark) group by all",
    ).frame
    for name in ("c", "a"):
        for run in store.runs(name):
            tables = store.load_run(run.run_id).estimates or {}
            (n,) = estimates[(estimates["name"] == name) & (estimates["run_id"] == run.run_id)]["n"]
            assert n == sum(table.score.size for table in tables.values())


@pytest.mark.parametrize("kind", ["vectors-*", "run-*"])
def test_a_damaged_file_of_vectors_or_of_a_run_is_left_out_and_named(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    for seed, name in enumerate(("first", "second")):
        store.save_benchmark(name, frames(seed=seed, split=True))
        store.add_vectors("mini", store.missing_texts(name, "mini")[:3], np.ones((3, 2)), benchmark=name)
        run_router(store, store.load(name), "zero")
    (file,) = main_file(store).parent.glob(kind)
    file.write_bytes(file.read_bytes()[:9000])
    table = "embeddings" if kind == "vectors-*" else "runs"
    answer = query(store, f"select distinct name from {table} join benchmarks using (benchmark)")
    assert answer.frame["name"].tolist() == ["second"]
    assert "first" in answer.note
    assert len(query(store, "from outcomes").frame) == sum(len(frames(seed=seed).outcomes) for seed in range(2))
