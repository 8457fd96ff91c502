"""Long rows as readers make them: the columns every format ends in, and what is to be said about them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from carrot_core.benchmarks.formats.values import NUMBER, Place, inside, objects
from carrot_core.text import counted

TEXTS = ("prompt_id", "model", "prompt", "task", "benchmark", "split", "sample", "time")
NUMBERS = (
    "score", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd", "latency_s",
)  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")
CHARACTERS = 4  # of a token of English text, by the rule of thumb that providers state
_CACHE = "input_tokens_cache"
_EPOCHS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))  # nano-, micro-, milliseconds and seconds since 1970


@dataclass(frozen=True)
class Options:
    """What a file may leave open.

    Attributes
    ----------
    model_from : the model of files that do not name theirs: "file" (its name), "folder" (of the file), or the name.
    scorer : which of several scorers, metrics or filters is the score.
    estimate_tokens : take a token for every `CHARACTERS` of prompt and answer where none are recorded.
    """

    model_from: str | None = None
    scorer: str | None = None
    estimate_tokens: bool = False

    def model_of(self, path: Path, stated: object = None) -> str:
        """The model of a file: the one chosen, else the one it states.

        Raises
        ------
        DataError
            Neither is there.
        """
        if self.model_from not in (None, "column"):
            by_place = {"file": path.name.partition(".")[0], "folder": path.resolve().parent.name}
            return by_place.get(str(self.model_from), str(self.model_from))
        if isinstance(stated, str) and stated:
            return stated
        remedy = "Name it: --model-from file, --model-from folder, or --model-from NAME."
        raise Place(path.name).error("does not say which model answered", remedy)


@dataclass(frozen=True)
class Rows:
    """Long rows of one import, and what is to be said about them.

    ``table`` has `TEXTS` and `NUMBERS`, of the optional columns those with a value in any row; ``starts`` the name of
    each file and the rows before its first; ``places`` where each row stands in its file.
    """

    table: pa.Table
    notes: tuple[str, ...] = ()
    starts: tuple[tuple[str, int], ...] = ()
    places: Sequence[str] = ()


@dataclass
class RowList:
    """Long rows as a reader finds them, one `add` each.

    Attributes
    ----------
    options : what the user chose.
    run : number of the file that is being read; runs of one model over the same prompts are samples.
    """

    options: Options
    run: int = 0
    columns: dict[str, list[str | float | None]] = field(
        default_factory=lambda: {name: [] for name in (*TEXTS, *NUMBERS)}
    )
    notes: dict[str, None] = field(default_factory=dict)
    _runs: list[int] = field(default_factory=list)
    _places: list[str] = field(default_factory=list)
    _starts: list[tuple[str, int]] = field(default_factory=list)
    _lost: Counter[str] = field(default_factory=Counter)
    _names: dict[str, None] = field(default_factory=dict)
    _answered: bool = False

    def __len__(self) -> int:
        return len(self._runs)

    def note(self, text: str) -> None:
        """Say something once."""
        self.notes.setdefault(text)

    def choose(self, names: Mapping[str, int], place: Place, what: str, subject: str, choice: str | None = None) -> str:
        """The name that is the score: the user's where a file has it, else the first; a note names the others.

        ``names`` say how many rows have each: one that few have, by a slip, is not taken unless it is asked for.

        Raises
        ------
        DataError
            There is none.
        """
        choice = choice or self.options.scorer
        if not names:
            raise place.error(f"has no {what}", "Was the run scored?")
        self._names |= dict.fromkeys(names)
        self._answered |= choice in names
        most = max(names.values())
        name = choice if choice in names else next(name for name, count in names.items() if 2 * count >= most)
        if others := [other for other in names if other != name]:
            self.note(f"{subject}: the {what} is {name}; --scorer takes another: {', '.join(others)}.")
        return str(name)

    def add(self, place: Place, answer: object = None, **cells: object) -> None:
        """Add a row of recognised columns; a text in place of a number, or the like, is an error of that place.

        ``answer`` is the model's text, or a list that begins with it, of which tokens may be estimated.
        """
        if self.options.estimate_tokens:
            cells |= self._estimates(cells, answer)
        if not self._starts or self._starts[-1][0] != place.file:
            self._starts.append((place.file, len(self)))
        for name in TEXTS:
            self.columns[name].append(self._text(place, name, cells.get(name)))
        for name in NUMBERS:
            self.columns[name].append(number(cells.get(name), place, name))
        self._runs.append(self.run)
        self._places.append(place.within)

    def _estimates(self, cells: Mapping[str, object], answer: object) -> dict[str, float]:
        """Tokens that are not recorded, by the length of the texts."""
        answer = answer[0] if isinstance(answer, list) and answer else answer
        texts = {"input_tokens": prompt_text(cells.get("prompt")), "output_tokens": answer}
        missing = {name: text for name, text in texts.items() if cells.get(name) is None and isinstance(text, str)}
        if missing:
            self.note(f"Tokens that are not recorded are estimated: one for {CHARACTERS} characters of the text.")
        return {name: float(max(1, math.ceil(len(text) / CHARACTERS))) for name, text in missing.items()}

    def _text(self, place: Place, name: str, value: object) -> str | None:
        if value is None:
            return None
        if name in ("prompt", "time"):
            text = prompt_text(value) if name == "prompt" else utc(value)
        elif isinstance(value, bool | float | list | dict):
            raise place.error(f"{name} is no text", "An id, a name or a task is text or a whole number.", value)
        else:
            text = str(value)
        if text is None or _SURROGATE.search(text):
            if name in ("prompt_id", "model", "sample"):
                raise place.error(f"{name} has half a character in it", "Write it again with whole ones.", text)
            self._lost[name] += 1
            return None
        return text

    def rows(self) -> Rows:
        """All rows.

        Raises
        ------
        DataError
            The score that was chosen is in no file.
        """
        if self.options.scorer and not self._answered:
            there = f"There are: {', '.join(self._names)}." if self._names else "This format has one score."
            raise Place("--scorer").error(f"there is no {self.options.scorer!r}", there)
        self._number_runs()
        samples = self.columns["sample"]
        if any(sample is not None for sample in samples):
            self.columns["sample"] = ["1" if sample is None else sample for sample in samples]
        for name, count in self._lost.items():
            values = counted(count, f"value of {name}", f"values of {name}")
            why = "no time" if name == "time" else "with half a character inside"
            self.note(f"{values}, {why}: not recorded.")
        names = [
            name
            for name in (*TEXTS, *NUMBERS)
            if name in ("model", "score") or any(value is not None for value in self.columns[name])
        ]
        arrays = [pa.array(self.columns[name], pa.string() if name in TEXTS else pa.float64()) for name in names]
        return Rows(pa.table(arrays, names), tuple(self.notes), tuple(self._starts), self._places)

    def _number_runs(self) -> None:
        """Tell apart what one model answered to one prompt in several files: each is a sample."""
        columns, again = self.columns, set[int]()
        first: dict[tuple[object, ...], int] = {}
        cells = zip(columns["prompt_id"], columns["model"], columns["sample"], self._runs, strict=True)
        for prompt_id, model, sample, run in cells:
            if prompt_id is not None and first.setdefault((prompt_id, model, sample), run) != run:
                again.add(run)
        if again:
            for row, run in enumerate(self._runs):
                if run in again:
                    columns["sample"][row] = f"{run}.{columns['sample'][row] or 1}"
            self.note("Several files have answers of one model to the same prompts: each answer is a sample.")


def number(value: object, place: Place, name: str) -> float | None:
    """A finite number, also one written as text; None where there is none. Else an error of the place."""
    if value is None or value == "":
        return None
    is_count = name.endswith("_tokens") or name == "cost_usd"
    if isinstance(value, bool) and is_count:
        raise place.error(f"{name} is true or false", "Write a number, or leave it out.", value)
    if isinstance(value, bool | int | float) or (isinstance(value, str) and NUMBER.fullmatch(value)):
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if math.isnan(result):
            return None  # how Python's tools write "not recorded"
        if math.isfinite(result):
            return result
    if isinstance(value, str) and value.strip().lower() in ("true", "false") and not is_count:
        return float(value.strip().lower() == "true")
    raise place.error(f"{name} is not a number", "Leave out what was not recorded.", value)


def tokens(usage: object, place: Place) -> dict[str, float | None]:
    """Token cells of a usage as Inspect writes it; input counts what the cache held, output the reasoning.

    Some providers count what was read from or written to the cache, or the reasoning, beside the rest: the total tells.
    """
    names = ("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens", f"{_CACHE}_read", f"{_CACHE}_write")
    counts = {name: number(inside(usage, name), place, name) for name in names}
    total, reasoning = counts["total_tokens"], counts["reasoning_tokens"] or 0.0
    read, write = counts[f"{_CACHE}_read"], counts[f"{_CACHE}_write"] or 0.0
    tokens_in, tokens_out, cached = counts["input_tokens"], counts["output_tokens"], (read or 0.0) + write
    if tokens_in is not None and tokens_out is not None and total is not None:
        beside = total - tokens_in - tokens_out
        if cached and beside in (cached, cached + reasoning):
            tokens_in, beside = tokens_in + cached, beside - cached
        if reasoning and beside == reasoning:
            tokens_out += reasoning
    return {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cached_input_tokens": read,
        "reasoning_tokens": counts["reasoning_tokens"],
    }


def prompt_text(value: object) -> str | None:
    """A prompt as text; a list of chat messages as JSON of their roles and contents."""
    if isinstance(value, str):
        return value
    messages = [each for each in objects(value) if "role" in each]
    if isinstance(value, list) and messages and len(messages) == len(value):
        if len(messages) == 1 and messages[0]["role"] == "user" and isinstance(messages[0].get("content"), str):
            return str(messages[0]["content"])
        return json.dumps(
            [{"role": each["role"], "content": each.get("content")} for each in messages], ensure_ascii=False
        )
    return None if value is None else json.dumps(value, ensure_ascii=False)


def utc(value: object) -> str | None:
    """A moment, in ISO 8601 or as a number since 1970, as ISO 8601 in UTC; None where it is neither."""
    try:
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            moment = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            since = float(value)
            moment = datetime.fromtimestamp(since / next(by for least, by in _EPOCHS if since >= least), UTC)
        else:
            return None
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError, OSError, StopIteration):
        return None


def seconds_between(start: object, end: object) -> float | None:
    """Seconds from one moment to another, of moments as `utc` reads them."""
    first, last = utc(start), utc(end)
    if first is None or last is None:
        return None
    passed = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return passed if passed >= 0 else None


def ranked(counts: Mapping[str, int], order: Sequence[str], without: Sequence[str] = ()) -> dict[str, int]:
    """Counts by name, those of an order first."""
    return {name: counts[name] for name in dict.fromkeys((*order, *counts)) if name in counts and name not in without}
