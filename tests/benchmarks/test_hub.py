"""Pulling from the hub: what arrives, what is fetched again, what is said when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import socket
import threading
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

from carrot_core import limits
from carrot_core.benchmarks import NONE_STATED, NOT_EXPORTED
from carrot_core.benchmarks import hub as hub_module
from carrot_core.benchmarks.hub import fetch
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.cli import main
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.paths import shipped
from carrot_core.store import Store
from carrot_core.store.console import query
from carrot_core.store.intake import pull
from tests.forks import FINISHED, KILLED, Forks, moments
from tests.hub_server import COMMIT, ROUTERBENCH, SPROUT, VARIANT, Hub, add_tables
from tests.pickle_files import Calls
from tests.routerbench_files import published
from tests.sprout_files import SHARDS, content, shards

BIG = "data/test-00000-of-00001.parquet"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_this_process")]
NOBODY = "http://127.0.0.1:9"  # where nobody listens


@pytest.fixture
def big(hub: Hub) -> bytes:
    """Random bytes of 5 MB in the place of one file."""
    content = random.Random(7).randbytes(5_000_000)
    hub.files[SPROUT][BIG] = content
    return content


@pytest.fixture
def store(carrot_home: Path) -> Store:
    return Store()


def copies(home: Path) -> list[str]:
    """Files below the hub's folder, without locks."""
    folder = home / "hub"
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


# What arrives


def test_a_pull_stores_the_benchmark_with_its_provenance(hub: Hub, store: Store) -> None:
    info = pull(store, "sprout")
    assert (info.name, info.n_prompts, info.n_models, info.licence) == ("sprout", 49, 13, NONE_STATED)
    assert info.source == f"{SPROUT}@{COMMIT}"
    lines = [f"{hashlib.sha256(hub.files[SPROUT][name]).hexdigest()}  {name}\n" for name in sorted(SHARDS)]
    assert info.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert info.split_rule == "the source's own split"


def test_the_variant_with_the_other_spelling(hub: Hub, store: Store) -> None:
    info = pull(store, "sprout-o3mini", "variant")
    assert (info.name, info.n_models, info.source) == ("variant", 14, f"{VARIANT}@{COMMIT}")


@pytest.mark.parametrize(("source", "seed"), [("routerbench-0shot", 0), ("routerbench-5shot", 1)])
def test_routerbench_is_pulled_with_its_pickle_unopened_by_the_way(
    hub: Hub, store: Store, source: str, seed: int
) -> None:
    info = pull(store, source)
    assert (info.n_prompts, info.source, info.licence) == (12, f"{ROUTERBENCH}@{COMMIT}", NONE_STATED)
    assert {request.rsplit("/", 1)[-1] for request in hub.requests if "/resolve/" in request} == {
        f"routerbench_{source.split('-')[1]}.pkl"
    }
    table, bench = published(seed=seed).set_index("sample_id"), store.load(source)
    for prompt_id, row in zip(bench.prompt_ids, bench.outcomes.score, strict=True):
        assert row.tolist() == table.loc[prompt_id, list(bench.models)].tolist()


def test_a_pickle_of_the_hub_that_calls_something_is_refused_and_calls_nothing(
    hub: Hub, store: Store, tmp_path: Path
) -> None:
    hub.files[ROUTERBENCH]["routerbench_0shot.pkl"] = pickle.dumps(Calls(os.system, f"touch {tmp_path}/called"))
    with pytest.raises(DataError, match=r"posix\.system"):
        pull(store, "routerbench-0shot")
    assert store.benchmarks() == []
    assert not (tmp_path / "called").exists()


def test_any_data_set_of_tables_is_pulled_through_the_door_of_an_import(hub: Hub, store: Store) -> None:
    add_tables(hub)
    hub.licence = "cc-by-4.0"
    columns = ("--column", "prompt_id=q", "--column", "model=llm", "--column", "score=right")
    run = CliRunner().invoke(main, ["data", "pull", "hf:lab/routes", "--config", "one", *columns, "--json"])
    assert run.exit_code == 0, run.output
    info = store.info("routes")
    assert (info.n_prompts, info.n_models, info.licence) == (30, 2, "cc-by-4.0")
    assert info.source == f"lab/routes@{COMMIT}"
    assert not any("two/" in path or "README" in path for path in hub.requests)
    run = CliRunner().invoke(
        main, ["data", "pull", "hf:lab/routes", "--config", "one", "--split", "test", "--name", "test", *columns]
    )
    assert run.exit_code == 0, run.output
    assert store.info("test").n_prompts == 10


def test_a_data_set_is_never_mixed_of_several_configurations(hub: Hub, store: Store) -> None:
    add_tables(hub)
    with pytest.raises(DataError, match=r"one, two.*--config"):
        pull(store, "hf:lab/routes")
    with pytest.raises(NotFoundError):
        pull(store, "hf:lab/routes", config="three")
    with pytest.raises(CarrotError, match="OWNER/NAME"):
        pull(store, "hf:../../etc")
    with pytest.raises(CarrotError, match="hf:OWNER/NAME"):
        pull(store, "sprout", config="one")


def test_chinese_tasks_are_left_out_where_there_are_any(hub: Hub, store: Store) -> None:
    arguments = ["data", "pull", "routerbench-0shot", "--name", "rb", "--drop-chinese", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n_prompts"] == 8
    assert not any(task.lower().startswith("chinese") for task in store.load("rb").tasks)
    count = len(hub.requests)
    refused = CliRunner().invoke(main, ["data", "pull", "sprout", "--drop-chinese"])
    assert (refused.exit_code, len(hub.requests)) == (1, count)
    assert "only RouterBench has" in refused.output


def test_texts_of_what_is_pulled_are_in_no_answer_that_can_be_saved(hub: Hub, store: Store) -> None:
    for source in ("sprout", "routerbench-0shot"):
        pull(store, source)
    store.save_benchmark("own", read_long_table(shipped("template.csv")))
    result = query(store, "select name, text from prompts join benchmarks using (benchmark)").frame
    is_private = result["name"] != "own"
    assert set(result["text"][is_private]) == {NOT_EXPORTED}
    assert set(result["text"][~is_private]) == set(store.load("own").texts)
    assert "What is 1 plus 1?" in store.load("sprout").texts  # to route on them they are there


# Without the hub


def test_a_pull_without_the_hub_reads_what_an_earlier_one_fetched_and_says_so(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pull(store, "sprout")
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    again = pull(store, "sprout", "again", revision=COMMIT)
    assert (again.data_hash, again.sha256, again.source) == (first.data_hash, first.sha256, first.source)
    assert again.warnings[0].startswith(f"The hub could not be reached: these are the files of commit {COMMIT}, ")
    result = CliRunner().invoke(main, ["data", "pull", "sprout", "--name", "third"])
    assert "Note: The hub could not be reached" in result.output
    assert not any("could not be reached" in warning for warning in first.warnings)


def test_what_was_not_fetched_whole_is_no_substitute_for_the_hub(
    hub: Hub, store: Store, carrot_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(store, "sprout")
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)

    def refuses(source: str = "sprout", revision: str | None = None) -> None:
        with pytest.raises(CarrotError, match="cannot be reached"):
            pull(store, source, "again", revision=revision)

    refuses(revision="main")
    refuses("routerbench-0shot")
    path = carrot_home / "hub" / SPROUT.replace("/", "--") / COMMIT / BIG
    path.write_bytes(b"x" + path.read_bytes()[1:])
    refuses()
    path.unlink()
    refuses()


def test_a_hub_that_refuses_is_no_hub_out_of_reach(hub: Hub, store: Store) -> None:
    pull(store, "sprout")
    hub.status = 401
    with pytest.raises(CarrotError, match="hf auth login"):
        pull(store, "sprout", "again")


def test_a_machine_told_to_stay_offline_reads_what_is_there(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CarrotError, match="no earlier pull fetched this"):
        pull(store, "sprout")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    pull(store, "sprout")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    count = len(hub.requests)
    assert "could not be reached" in pull(store, "sprout", "again").warnings[0]
    assert len(hub.requests) == count


# What is fetched


def test_only_what_is_needed_is_fetched_and_only_once(hub: Hub, store: Store) -> None:
    pull(store, "sprout")
    assert not any("README" in request for request in hub.requests)
    sent = hub.sent
    assert sent == sum(len(hub.files[SPROUT][name]) for name in SHARDS)
    again = pull(store, "sprout", replace=True)
    assert (hub.sent, again.n_prompts) == (sent, 49)


def test_progress_tells_the_bytes_of_every_file(hub: Hub, big: bytes) -> None:
    text: list[tuple[int, int, str]] = []
    fetch(SPROUT, ("data/*",), progress=lambda done, total, name: text.append((done, total, name)))
    assert list(dict.fromkeys(name for _, _, name in text)) == sorted(SHARDS)
    steps = [done for done, total, name in text if name == BIG]
    assert steps == sorted(steps)
    assert len(steps) > 4
    assert steps[-1] == len(big) == next(total for _, total, name in text if name == BIG)


def test_a_small_file_that_git_holds_itself_is_checked_too(hub: Hub) -> None:
    assert fetch(SPROUT, ("README.md",)).files[0].path.read_bytes() == hub.files[SPROUT]["README.md"]
    hub.announced[".gitattributes"] = b"*.parquet filter=LFS\n"
    with pytest.raises(DataError, match="arrived damaged"):
        fetch(SPROUT, (".gitattributes",))


def test_the_command_line_pulls_and_prints_json(hub: Hub) -> None:
    result = CliRunner().invoke(main, ["data", "pull", "sprout", "--name", "mine", "--revision", "main", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["source"] == f"{SPROUT}@{COMMIT}"
    for arguments, code, says in (
        (["sprout", "--name", "mine"], 5, "already"),
        (["ghost"], 3, "sprout-o3mini"),
        (["sprout", "--revision", "gone"], 3, "gone"),
    ):
        refused = CliRunner().invoke(main, ["data", "pull", *arguments])
        assert (refused.exit_code, says in refused.output) == (code, True), refused.output


def test_a_taken_name_is_said_before_anything_is_fetched(hub: Hub, store: Store) -> None:
    pull(store, "sprout")
    count = len(hub.requests)
    with pytest.raises(StoreError, match="already"):
        pull(store, "sprout")
    assert len(hub.requests) == count


# Interrupted


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, big: bytes) -> None:
    hub.cut = [2_000_000, 1_500_000]
    fetched = fetch(SPROUT, (BIG,))
    assert fetched.files[0].path.read_bytes() == big
    assert hub.sent < len(big) + 2_200_000  # less than a megabyte is lost at each break


def test_a_pull_goes_on_from_the_half_file_of_an_earlier_one(hub: Hub, big: bytes, carrot_home: Path) -> None:
    hub.cut = [3_000_000, 0]
    with pytest.raises(CarrotError, match="cannot be reached"):
        fetch(SPROUT, (BIG,))
    (half,) = copies(carrot_home)
    assert half.endswith(".part")
    have = (carrot_home / "hub" / half).stat().st_size
    assert have > 1_000_000
    hub.sent = 0
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big
    assert hub.sent == len(big) - have
    assert not copies(carrot_home)[0].endswith(".part")


def test_a_server_without_ranges_sends_it_from_the_start(hub: Hub, big: bytes, carrot_home: Path) -> None:
    hub.ranges = False
    hub.cut = [2_000_000]
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big


@pytest.mark.parametrize("change", [lambda whole: whole[:-1] + b"?", lambda whole: b"", lambda whole: whole + b"more"])
def test_a_damaged_file_in_the_cache_is_fetched_again(hub: Hub, big: bytes, change: object) -> None:
    path = fetch(SPROUT, (BIG,)).files[0].path
    path.write_bytes(change(big))  # type: ignore[operator]
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big


def test_a_half_file_of_something_else_never_becomes_the_file(hub: Hub, big: bytes) -> None:
    path = fetch(SPROUT, (BIG,)).files[0].path
    path.unlink()
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(b"not the beginning")
    with pytest.raises(DataError, match="arrived damaged"):
        fetch(SPROUT, (BIG,))
    assert not path.exists()
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big


@pytest.mark.parametrize("left", [b"", b"x" * 6_000_000])
def test_a_half_file_without_use_is_started_anew(hub: Hub, big: bytes, left: bytes, carrot_home: Path) -> None:
    part = carrot_home / "hub" / SPROUT.replace("/", "--") / COMMIT / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big


@pytest.mark.parametrize("announced", [b"short", b"z" * 5_000_000, b"z" * 5_000_100])
def test_bytes_that_are_not_those_announced_are_refused(
    hub: Hub, big: bytes, announced: bytes, store: Store, carrot_home: Path
) -> None:
    hub.announced[BIG] = announced
    with pytest.raises(DataError, match=r"test-00000.*(arrived damaged|bytes arrived)"):
        pull(store, "sprout")
    assert store.benchmarks() == []
    assert not any(name.endswith(BIG) for name in copies(carrot_home))


def test_a_corrupt_parquet_file_is_named(hub: Hub, big: bytes, store: Store) -> None:
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet: cannot be read as Parquet"):
        pull(store, "sprout")
    assert store.benchmarks() == []


# Refused


@pytest.mark.parametrize(
    ("status", "error", "kind", "says"),
    [
        (401, "", CarrotError, "hf auth login"),
        (401, "RepoNotFound", CarrotError, "does not exist"),
        (403, "GatedRepo", CarrotError, "terms"),
        (404, "RepoNotFound", NotFoundError, "There is no data set"),
        (404, "", NotFoundError, "404"),
        (429, "", CarrotError, "try again later"),
        (500, "", CarrotError, "500"),
        (503, "", CarrotError, "503"),
    ],
)
@pytest.mark.parametrize("where", ["status", "file_status"])
def test_an_answer_that_is_no_file_is_put_into_words(
    hub: Hub, store: Store, where: str, status: int, error: str, kind: type[CarrotError], says: str
) -> None:
    setattr(hub, where, status)
    hub.error = error
    with pytest.raises(kind, match=says) as caught:
        pull(store, "sprout")
    assert type(caught.value) is kind
    assert SPROUT in str(caught.value)
    assert store.benchmarks() == []


def test_without_a_network_one_attempt_is_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a client that retries keeps a machine without a network waiting most of a minute."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")

        def hang_up() -> None:
            while True:
                connection, _ = listening.accept()
                with connection:
                    if connection.recv(4) == b"stop":
                        return
                    calls.append(connection)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(CarrotError, match="cannot be reached"):
            pull(store, "sprout")
        with socket.create_connection(listening.getsockname()) as last:
            last.sendall(b"stop")
        thread.join()
    assert len(calls) == 1
    with pytest.raises(CarrotError, match="cannot be reached"):  # nobody listens there any more
        pull(store, "sprout")


def test_an_address_that_is_no_hub(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "listing", lambda self, repo: {"hello": "world"})
    with pytest.raises(CarrotError, match="HF_ENDPOINT"):
        pull(store, "sprout")


def test_a_data_set_without_the_files(hub: Hub, store: Store) -> None:
    for name in SHARDS:
        del hub.files[SPROUT][name]
    with pytest.raises(NotFoundError, match=r"no file data/\*\.parquet"):
        pull(store, "sprout")


@pytest.mark.parametrize("name", ["data/../../../evil.parquet", "data/..\\evil.parquet"])
def test_a_name_that_leads_out_of_the_folder_is_refused(hub: Hub, carrot_home: Path, name: str) -> None:
    hub.files[SPROUT][name] = b"evil"
    with pytest.raises(DataError, match="outside its folder"):
        fetch(SPROUT, ("data/*.parquet",))
    assert list(carrot_home.rglob("*evil*")) == []


def test_too_little_room_is_said_before_anything_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CarrotError, match="too full"):
        fetch(SPROUT, ("data/*.parquet",))
    assert hub.sent == 0


def test_no_more_is_fetched_than_may_be_read(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tables(hub)
    monkeypatch.setattr(limits, "READ_MOST_DISK_BYTES", 1000)
    with pytest.raises(CarrotError, match="more than 1000 bytes"):
        pull(store, "hf:lab/routes", config="one")
    assert not any("resolve" in path for path in hub.requests)


def test_a_disk_that_fills_up_is_said_and_what_arrived_is_kept(
    hub: Hub, big: bytes, carrot_home: Path, forks: Forks
) -> None:
    message = forks.run(fetch, SPROUT, [BIG], room=2_500_000, environment=places(hub, carrot_home))
    assert "Make room" in message
    assert fetch(SPROUT, (BIG,)).files[0].path.read_bytes() == big
    assert hub.sent < 2 * len(big)


def test_two_pulls_of_the_same_data_do_not_write_one_file(hub: Hub, carrot_home: Path) -> None:
    folder = carrot_home / "hub" / SPROUT.replace("/", "--") / COMMIT
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(CarrotError, match="Another process is pulling"):
        fetch(SPROUT, ("data/*.parquet",))


# Killed

KILLS = 7  # spread evenly over the time that a pull takes


def places(hub: Hub, home: Path) -> dict[str, str]:
    """Variables that name a hub and a home folder to another process."""
    home.mkdir(exist_ok=True)
    return {"HF_ENDPOINT": hub.url, "CARROT_HOME": str(home)}


def pull_sprout() -> None:
    pull(Store(), "sprout")


def test_kill_at_any_moment_of_a_pull_and_the_next_one_succeeds(hub: Hub, forks: Forks, tmp_path: Path) -> None:
    noise = random.Random(3)
    for path, shard in shards().items():
        answers = [noise.randbytes(30_000).hex() for _ in range(len(shard))]  # incompressible: 0.7 MB a shard
        hub.files[SPROUT][path] = content(shard.append_column("transcript", [answers]))
    hub.pause_s = 0.003
    duration = forks.duration(pull_sprout, environment=places(hub, tmp_path / "whole"))
    reference = Store(tmp_path / "whole" / "carrot.duckdb").info("sprout")
    fates, pace = [], 1.0  # a pull that ends before its kill shows a machine less busy than when a pull was timed
    for number, moment in enumerate(moments(duration, KILLS)):
        home = tmp_path / f"home{number}"
        pull = partial(forks.run, pull_sprout, environment=places(hub, home))
        while (fate := pull(killed_after_s=pace * moment)) == FINISHED and pace > 0.1:
            shutil.rmtree(home)
            pace *= 0.7
        result = Store(home / "carrot.duckdb").benchmarks()
        arrived = copies(home) if (home / "hub").exists() else []
        fates.append((fate, any(name.endswith(".part") for name in arrived), len(arrived), bool(result)))
        for info in result:  # the kill came after the swap: then all of it is there
            assert (info.data_hash, info.sha256) == (reference.data_hash, reference.sha256)
        if not result:
            assert pull() == FINISHED
        assert Store(home / "carrot.duckdb").info("sprout").data_hash == reference.data_hash
        assert not any(name.endswith(".part") for name in copies(home))
        shutil.rmtree(home)
    killed = [fate for fate in fates if fate[0] == KILLED]
    assert len(killed) > KILLS / 2
    assert any(half for _, half, _, _ in killed), "no kill fell into a file"
    assert any(count == 5 and not half for _, half, count, _ in killed), "no kill fell into the reading or writing"
