"""What is known of a model besides its price: provider, open weights, release, context, effort, base model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.columns import quote
from carrot_core.benchmarks.table_file import ROW, TableFile
from carrot_core.errors import DataError, Problem
from carrot_core.prices.files import match_name, read_records
from carrot_core.text import names_listed

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_YES, _NO = ("true", "1", "yes", "open"), ("false", "0", "no", "closed")
_LITELLM = {"litellm_provider": "provider", "max_input_tokens": "context_tokens"}  # in its price map


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model, "" or None where not known.

    Attributes
    ----------
    provider : who answers, such as "openai" or "together".
    open_weights : whether anybody can run it.
    release_date : 2025, 2025-02 or 2025-02-06.
    context_tokens : the longest input.
    effort : how long it reasons, in the words of its provider.
    base_model : the model that it is at this effort or provider, or was tuned from.
    """

    provider: str = ""
    open_weights: bool | None = None
    release_date: str = ""
    context_tokens: float | None = None
    effort: str = ""
    base_model: str = ""

    def is_released_after(self, date: str) -> bool:
        """Whether it is known to be of a later year, month or day than a date, in the precision of that date."""
        return self.release_date[: len(date)] > date


FACTS = tuple(each.name for each in fields(ModelFacts))
NOTHING = ModelFacts()


def read_model_facts(path: Path) -> dict[str, ModelFacts]:
    """Facts by model name from a CSV with the column ``model`` and some of `FACTS`, or from JSON, as price files.

    Raises
    ------
    DataError
        None of these columns, a model twice, or a value that cannot be read; row and column are named.
    """
    rows, is_map = read_records(path)
    if is_map:
        rows = [{_LITELLM.get(name, name): cell for name, cell in row.items()} for row in rows]
    facts: dict[str, ModelFacts] = {}
    problems = []
    if not any(name in row for row in rows for name in FACTS):
        remedy = f"The columns are model, and any of {', '.join(FACTS)}."
        problems.append(Problem("No facts of models here", remedy))
    for number, row in enumerate(rows, start=1):
        model = str(row.get("model") or "")
        if not model or model in facts:
            what = "A model stands twice" if model else "No model is named"
            problems.append(Problem(what, "One row is one model.", number, "model", model))
        facts[model], faults = _facts(row, number)
        problems += faults
    if problems:
        raise DataError(path.name, problems)
    return facts


def _facts(row: Mapping[str, Any], number: int) -> tuple[ModelFacts, list[Problem]]:
    """The facts of a row, and what of it cannot be read."""
    cells = {name: str(row[name]).strip() for name in FACTS if row.get(name) is not None and row[name] != ""}
    values: dict[str, Any] = dict(cells)
    problems = []
    if (text := cells.get("open_weights", "").casefold()) and text in (*_YES, *_NO):
        values["open_weights"] = text in _YES
    elif text:
        problems.append(Problem("Not true or false", "Write true or false.", number, "open_weights", text))
    if not _DATE.fullmatch(cells.get("release_date", "2025")):
        remedy = "Write 2025, 2025-02 or 2025-02-06."
        problems.append(Problem("Not a date", remedy, number, "release_date", cells["release_date"]))
    if text := cells.get("context_tokens", ""):
        values["context_tokens"] = float(text) if re.fullmatch(r"\d{1,12}(\.0*)?", text) else None
        if values["context_tokens"] is None:
            problems.append(Problem("Not a number of tokens", "Write 128000.", number, "context_tokens", text))
    for problem in problems:
        values.pop(problem.column or "", None)
    return ModelFacts(**values), problems


def facts_in(table: TableFile) -> tuple[dict[str, ModelFacts], list[str]]:
    """Facts that the rows of a long table have in columns, by model, and what is to be said of them.

    A fact that differs between rows of a model is none of the model's.
    """
    names = [name for name in FACTS if name in table.types]
    if not names:
        return {}, []
    cells = ", ".join(f"list(distinct nullif(trim({name}::varchar), '')) as {name}" for name in names)
    query = f"select model, min({quote(ROW)}), {cells} from file group by model"  # noqa: S608  fixed names
    facts: dict[str, ModelFacts] = {}
    notes = []
    for model, row, *lists in table.connection.execute(query).fetchall():
        values = {name: list(filter(None, each or ())) for name, each in zip(names, lists, strict=True)}
        several = [name for name, each in values.items() if len(each) > 1]
        if several:
            notes.append(f"Rows of {model!r} differ in {', '.join(several)}: not kept.")
        facts[model], problems = _facts({name: each[0] for name, each in values.items() if len(each) == 1}, row)
        notes += [f"{each.column} of {model!r} is {each.value!r}: not kept. {each.remedy}" for each in problems]
    return facts, notes


def with_facts(frames: Frames, facts: Mapping[str, ModelFacts], notes: Sequence[str] = ()) -> Frames:
    """Frames with facts of their models, by the rule of `prices.files.match_name`, before those they have."""
    if not facts:
        return frames
    models = frames.models["model"].tolist()
    matches = {model: match_name(model, facts) for model in models}
    rows = []
    for old in frames.models.to_dict("records"):
        before, now = facts_of_row(old), facts.get(matches[old["model"]].name, NOTHING)
        updates = {name: value for name, value in asdict(now).items() if value not in ("", None)}
        rows.append(asdict(replace(before, **updates)))
    table = pd.DataFrame(rows, columns=FACTS, dtype=object).replace("", None)
    table = table.astype({"open_weights": "boolean", "context_tokens": "float64"})
    rest = frames.models.drop(columns=list(FACTS), errors="ignore")
    unknown = [model for model, match in matches.items() if not match.name]
    more = [f"No facts are known of {names_listed(unknown, 10)}."] if unknown else []
    return replace(
        frames,
        models=pd.concat([rest.reset_index(drop=True), table], axis=1),
        warnings=(*frames.warnings, *notes, *more),
    )


def facts_of_row(row: Mapping[Any, Any]) -> ModelFacts:
    """Facts from a row of `Frames.models` or of the store, which may lack any of them."""
    cells = {name: row[name] for name in FACTS if name in row and not pd.isna(row[name])}
    if "open_weights" in cells:
        cells["open_weights"] = bool(cells["open_weights"])  # not NumPy's
    return ModelFacts(**cells)


def arms_of_models(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> dict[str, tuple[str, ...]]:
    """Those of some models that are one model of one provider at several efforts or in several scaffolds, by that
    model; a model that has one arm alone is left out."""
    arms: dict[tuple[str, str], list[str]] = {}
    for model in models:
        known = facts.get(model, NOTHING)
        arms.setdefault((known.provider, known.base_model or model), []).append(model)
    return {base: tuple(names) for (_, base), names in arms.items() if len(names) > 1}
