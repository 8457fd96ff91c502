"""The file formats of an operating point, for people and programs; `FORMATS` lists them by name."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pprint import pformat

import pandas as pd

from carrot_core.csv_latex import safe_csv
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate
from carrot_core.points.formats import report
from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFile, to_yaml

_GROUP, _PLACEHOLDER = "carrot", "FILL-IN"  # as in the templates of LiteLLM's files


def curve_table(router: CarrotRouter, point: PointFile) -> pd.DataFrame:
    """The router's curves on "validation" and "test", at the points kept with it.

    Returns
    -------
    ``split``, ``lam``, ``exchange_rate_per_usd`` (score per US dollar), ``score`` and ``cost_usd`` (means per
    query); each row holds up to the rate of the next.

    Raises
    ------
    CarrotError
        The point's pool or prices are its own: nothing was measured on them.
    """
    if point.test is None:
        raise CarrotError(
            "This point has no curve: its pool or prices are its own, and curves were measured on the "
            "whole pool at the prices of the benchmark."
        )
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "split": split,
                    "lam": lam_of_rate(curve.exchange_rate_per_usd, router.cost_unit_usd),
                    "exchange_rate_per_usd": curve.exchange_rate_per_usd,
                    "score": curve.score,
                    "cost_usd": curve.cost_usd,
                }
            )
            for split, curve in router.profile.curves.items()
        ],
        ignore_index=True,
    )


def as_csv(router: CarrotRouter, point: PointFile) -> bytes:
    """`curve_table` as CSV in UTF-8."""
    return safe_csv(curve_table(router, point)).encode()


def as_parquet(router: CarrotRouter, point: PointFile) -> bytes:
    """`curve_table` as Parquet."""
    file = io.BytesIO()
    curve_table(router, point).to_parquet(file, index=False)
    return file.getvalue()


RUN, DESCRIBE, CHART = "Run it", "Describe it", "Chart"
_PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Format:
    """One form of an operating point.

    Attributes
    ----------
    name : name for `carrot export --format`.
    ending : ending of its files, with the dot; case does not matter, and ``.yml`` is ``.yaml``.
    media_type : for downloads.
    about : one line for people.
    make : function of the point's router and the point that gives the bytes of the file.
    group : its purpose: `RUN`, `DESCRIBE` or `CHART`; the first format of a group is the recommended one.
    file : its usual file name, with ``{stem}`` for the point's; no two formats have the same.
    commands : commands to use it, as (purpose, command); ``{file}`` is its file, ``{name}`` a name of the point.
    """

    name: str
    ending: str
    media_type: str
    about: str
    make: Callable[[CarrotRouter, PointFile], bytes]
    group: str
    file: str
    commands: tuple[tuple[str, str], ...] = ()

    def commands_for(self, stem: str) -> dict[str, str]:
        """Commands by their purpose, for files of a stem; if the format is not for running, how to make its file."""
        file = self.file.format(stem=stem)
        if self.commands:
            return {what: command.format(file=file, name=stem) for what, command in self.commands}
        document = FORMATS["json"].file.format(stem=stem)
        by_name = "" if format_for(file) is self else f"--format {self.name} "
        return {"Made from the document": f"carrot export {document} {by_name}--out {file}"}


def as_json(_router: CarrotRouter, point: PointFile) -> bytes:
    """The document that ``docs/point.schema.json`` describes."""
    return f"{point.model_dump_json(indent=1)}\n".encode()


def as_yaml(_router: CarrotRouter, point: PointFile) -> bytes:
    """The same fields and values as `as_json`."""
    return to_yaml(point.model_dump(mode="json")).encode()


def as_python(_router: CarrotRouter, point: PointFile) -> bytes:
    """A script that routes prompts at the point; its first lines list its requirements."""
    return _with_point("script.py.template", point)


def as_config(_router: CarrotRouter, point: PointFile) -> bytes:
    """LiteLLM's ``config.yaml``: a deployment for every model of the pool, to fill in where no name is known."""
    known = _litellm_models()
    deployments = [
        {
            "model_name": _GROUP,
            "litellm_params": {"model": known.get(model, f"{_PLACEHOLDER}/{model}")},
            "model_info": {"carrot_model": model},
        }
        for model in point.pool
    ]
    settings = {"callbacks": "carrot_hook.attach"}
    head = _template("litellm_config.yaml.template")
    return (head + to_yaml({"model_list": deployments, "litellm_settings": settings})).encode()


def _litellm_models() -> dict[str, str]:
    """LiteLLM's names of models at their makers, by the names in the benchmarks that ship, where it has one alike."""
    with Path(__file__).with_name("litellm_models.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: row["litellm"] for row in csv.DictReader(file)}


def as_hook(_router: CarrotRouter, point: PointFile) -> bytes:
    """LiteLLM's ``carrot_hook.py``, with the point in it."""
    return _with_point("litellm_hook.py.template", point)


def _template(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _with_point(template: str, point: PointFile) -> bytes:
    return _template(template).replace("POINT = ...\n", assignment(point), 1).encode()


def assignment(point: PointFile) -> str:
    """``POINT = {...}`` as Python code, safe with any characters in names."""
    # `repr` escapes all characters that are not printable, also line ends and marks for reversed text.
    return f"POINT = {pformat(point.model_dump(mode='json'), width=110, sort_dicts=False)}\n"


_LOAD = "from carrot_core import CarrotRouter; print(CarrotRouter.load('{file}').route('What is 2 + 2?'))"
_USES = {
    "json": (
        ("At the command line", 'carrot route "What is 2 + 2?" --point {file}'),
        ("In Python", f'python -c "{_LOAD}"'),
        ("Over HTTP", "carrot serve --bench {name}={file}"),
    ),
    "python": (("As a script", 'python {file} "What is 2 + 2?"'),),
    "litellm": (("In LiteLLM's proxy, once it is filled in", "litellm --config {file}"),),
}
# If two formats share an ending, the ending alone means the first.
FORMATS: dict[str, Format] = {
    name: Format(name, f".{file.rpartition('.')[2]}", media_type, about, make, group, file, _USES.get(name, ()))
    for name, file, media_type, group, about, make in (
        ("json", "{stem}.json", "application/json", RUN, "the document itself", as_json),
        ("html", "{stem}.html", "text/html", DESCRIBE, "one page to read and print", report.as_html),
        ("yaml", "{stem}.yaml", "application/yaml", DESCRIBE, "the same document as YAML", as_yaml),
        ("svg", "{stem}.svg", "image/svg+xml", CHART, "the curve with the point on it, as a picture", report.as_svg),
        ("png", "{stem}.png", "image/png", CHART, "the same picture", partial(report.as_image, "png")),
        ("pdf", "{stem}.pdf", "application/pdf", CHART, "the same picture", partial(report.as_image, "pdf")),
        ("python", "{stem}.py", "text/x-python", RUN, "a script that routes prompts at the point", as_python),
        ("csv", "{stem}-curve.csv", "text/csv", CHART, "the curve it lies on", as_csv),
        ("parquet", "{stem}-curve.parquet", _PARQUET, CHART, "the curve it lies on", as_parquet),
        ("litellm", "{stem}-litellm.yaml", "application/yaml", RUN, "configuration of LiteLLM's proxy", as_config),
        ("litellm-hook", "carrot_hook.py", "text/x-python", RUN, "the Python file that configuration loads", as_hook),
    )
}


def format_for(file_name: str, name: str | None = None) -> Format:
    """The format with a name, or the one that a file's ending means.

    Raises
    ------
    CarrotError
        There is no such format, or the file's name does not have its ending.
    """

    def ends_as(form: Format) -> bool:
        return re.sub(r"\.yml$", ".yaml", file_name.lower()).endswith(form.ending)

    if name is None:
        match = next((each for each in FORMATS.values() if ends_as(each)), None)
        if match is None:
            endings = ", ".join(dict.fromkeys(each.ending for each in FORMATS.values()))
            raise CarrotError(f"{file_name!r} must end in one of {endings}.")
        return match
    if name not in FORMATS:
        raise CarrotError(f"There is no format {name!r}; there are {', '.join(FORMATS)}.")
    if not ends_as(FORMATS[name]):
        raise CarrotError(f"{file_name!r} must end in {FORMATS[name].ending} for the format {name}.")
    return FORMATS[name]
