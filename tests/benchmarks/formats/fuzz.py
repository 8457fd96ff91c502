"""Sample files of every format with a value, a byte or an end changed, through their readers.

``python -m tests.benchmarks.formats.fuzz 10000`` prints one JSON object: how many files of each format were read, how
many were refused in words. The first that is neither, or that changes a cell which nobody touched, ends it.
"""

from __future__ import annotations

import copy
import io
import json
import random
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats import format_of_all, read_format
from carrot_core.benchmarks.formats.rows import NUMBERS, Rows
from carrot_core.benchmarks.parts import all_files
from carrot_core.errors import CarrotError
from tests.benchmarks.formats.test_routing import run
from tests.benchmarks.formats.test_traffic import LOGS
from tests.benchmarks.formats.truth import FILES

NASTY: list[Any] = [
    None, True, -1, 0, 0.5, 2, 1e308, 10**400, float("nan"), float("inf"), "", " ", "0.5", "x", "C", "\ud83d", "\0",
    "../x", "9" * 5000, [], {}, [1], [[]], {"a": 1}, [{"role": "user"}], {"value": []}, "[1", "{" * 2000,
]  # fmt: skip
_INSTANCES = ("quiz__quiz-1", "quiz__quiz-2")
_TOUCHED = 3  # rows that one record of a file may make: a row of promptfoo's table has three


def imports(folder: Path) -> dict[str, list[Path]]:
    """The files of one import of every format, by a name."""
    target = folder / "made"
    target.mkdir()
    for name, (_, text) in LOGS.items():
        (target / name).write_text(text, encoding="utf-8")
    (target / "routerbench.json").write_text(json.dumps(run("m1", 1.0)))
    sets = {
        "inspect zip": [FILES / "inspect/quiz_letters_other_mid.eval"],
        "inspect": [FILES / "inspect/quiz_numbers_other_mid.json"],
        "lm-eval": all_files([FILES / "lm_eval" / "other__mid"]),
        "promptfoo": [FILES / "promptfoo/quiz.results.json"],
        "promptfoo csv": [FILES / "promptfoo/quiz.results.csv"],
        "openai-evals": [FILES / "openai_evals/quiz_acme_small.jsonl"],
        "every-eval-ever": [FILES / "every_eval_ever/quiz_samples.jsonl"],
        "helm": all_files([FILES / "helm" / "quiz_model=acme_small"]),
        "litellm": [FILES / "litellm/spend_logs.jsonl"],
        "litellm csv": [FILES / "litellm/spend_logs.csv"],
        "otlp": [FILES / "opentelemetry/current.json"],
        "langfuse": [FILES / "langfuse/observations.json", FILES / "langfuse/scores.json"],
        "openrouter": [FILES / "openrouter/activity.csv"],
        "usage": [FILES / "provider_usage/openai_completions_usage.json"],
        "llmrouterbench": all_files([FILES / "llmrouterbench"]),
        "routerarena": all_files([FILES / "routerarena/cached_results"]),
        "swe-bench": [
            FILES / "swe_bench/other_mid/per_instance_details.json",
            FILES / "swe_bench/other_mid/preds.json",
        ],
        "swe-bench reports": [
            FILES / f"swe_bench/acme_small/{name}"
            for name in ("acme__small.quiz.json", *(f"trajs/{i}/{i}.traj.json" for i in _INSTANCES))
        ],
    }
    return sets | {name: [target / name] for name in ("routerbench.json", *LOGS)}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every value in a JSON value, lists and objects among them."""
    if path:
        yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(each, (*path, key))


def changed(value: Any, chance: random.Random) -> tuple[Any, bool]:
    """A value with one place changed or gone, and whether the place is in one record of a list."""
    value = copy.deepcopy(value)
    path = chance.choice(list(leaves(value)) or [()])
    if not path:
        return chance.choice(NASTY), False
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    if chance.random() < 0.2:
        del parent[path[-1]]
    else:
        parent[path[-1]] = chance.choice(NASTY)
    return value, any(isinstance(key, int) for key in path[:-1])


def mutated(path: Path, chance: random.Random) -> tuple[bytes, bool]:
    """The bytes of a file with one thing changed, and whether that is in one record alone."""
    raw = path.read_bytes()
    if chance.random() < 0.2:
        return broken(raw, chance), False
    if raw.startswith(b"PK"):
        return _zip(path, chance)
    if path.suffix == ".csv":
        lines = raw.split(b"\n")
        line = chance.randrange(len(lines))
        lines[line] = broken(lines[line], chance)
        return b"\n".join(lines), line > 0
    try:
        value, within = changed(json.loads(raw), chance)
        return json.dumps(value).encode(), within
    except ValueError:
        lines = raw.splitlines()
        line = chance.randrange(len(lines))
        value, _ = changed(json.loads(lines[line]), chance)
        lines[line] = json.dumps(value).encode()
        return b"\n".join(lines), line > 0


def broken(raw: bytes, chance: random.Random) -> bytes:
    """Bytes with a few of them changed, or cut off."""
    out = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        if out:
            out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out[: chance.randint(0, len(out))] if chance.random() < 0.5 else out)


def _zip(path: Path, chance: random.Random) -> tuple[bytes, bool]:
    from carrot_core.benchmarks.formats.inspect_helm import _HEADER, _SAMPLE
    from carrot_core.benchmarks.formats.values import zip_values

    values = {name: value for pattern in (_HEADER, _SAMPLE) for _, name, value in zip_values(path, pattern)}
    touched = chance.choice(list(values))
    values[touched], _ = changed(values[touched], chance)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in values.items():
            archive.writestr(name, json.dumps(value))
    return out.getvalue(), touched.startswith("samples")


def cells(rows: Rows) -> Counter[str]:
    """Every row as its prompt and its numbers."""
    return Counter(
        repr([row.get("prompt"), *(None if row.get(name) is None else row[name] for name in NUMBERS)])
        for row in rows.table.to_pylist()
    )


def fuzz(count: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Read that many changed imports; how many of each were read and refused."""
    chance, done = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as folder:
        sets = imports(Path(folder))
        whole = {}
        for name, files in sets.items():
            each = format_of_all(files)
            assert each is not None, name
            whole[name] = (each, cells(read_format(each, files)))
        for number in range(count):
            name = list(sets)[number % len(sets)]
            each, right = whole[name]
            place = Path(folder, "case", sets[name][0].parent.name)
            place.mkdir(parents=True, exist_ok=True)
            files = [place / path.name for path in sets[name]]
            touched = chance.randrange(len(files))
            within = False
            for at, (path, source) in enumerate(zip(files, sets[name], strict=True)):
                raw, in_record = mutated(source, chance) if at == touched else (source.read_bytes(), False)
                within |= in_record
                path.write_bytes(raw)
            tally = done.setdefault(name, {"read": 0, "refused": 0})
            try:
                format_of_all(files)
                rows = read_format(each, files)
            except CarrotError:
                tally["refused"] += 1
                continue
            tally["read"] += 1
            wrong = sum((cells(rows) - right).values())
            assert not within or wrong <= _TOUCHED, f"{name}: {wrong} rows changed in case {number} of seed {seed}"
    return done


if __name__ == "__main__":
    print(json.dumps(fuzz(int(sys.argv[1])), indent=1))
