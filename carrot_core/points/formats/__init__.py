"""An operating point in the forms that people and programs take it in; `FORMATS` lists them by name."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate
from carrot_core.points.formats import litellm, report
from carrot_core.safe_csv import safe_csv
from carrot_core.serving.point import PointFile, to_yaml
from carrot_core.serving.router import CarrotRouter

_SCRIPT_HEAD = '''"""Which model answers a prompt, at an operating point that carrot-core exported.

    python FILE "What is 2 + 2?" "Prove that there are infinitely many primes."

prints the name of a model for each prompt, a line each. It calls no model and sends nothing; it needs
carrot-core, and the router that POINT names in "source", which must be the very one it was made with.
"""

import sys

from carrot_core import CarrotError
from carrot_core.serving.loading import at_point
from carrot_core.serving.point import point_of

'''
_SCRIPT_TAIL = """

def main() -> None:
    prompts = sys.argv[1:]
    if not prompts:
        sys.exit(f'Usage: python {sys.argv[0]} "PROMPT" ...')
    try:
        router = at_point(point_of(POINT))
    except CarrotError as error:
        sys.exit(f"Error: {error}")
    print(*router.route(prompts), sep="\\n")


if __name__ == "__main__":
    main()
"""


def curve_table(router: CarrotRouter, point: PointFile) -> pd.DataFrame:
    """The router's curves on "validation" and "test", at the points that were kept of them.

    Returns
    -------
    ``split``, ``lam``, ``exchange_rate_per_usd`` (score per US dollar), ``score`` and ``cost_usd`` (means per
    query); a row holds up to the rate of the next.

    Raises
    ------
    CarrotError
        The point's pool or prices are its own: nothing was measured on them.
    """
    if point.test is None:
        raise CarrotError(
            "There is no curve of this point: its pool or prices are its own, and curves were measured on the "
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


@dataclass(frozen=True)
class Format:
    """One form of an operating point.

    Attributes
    ----------
    name : as `carrot export --format` takes it.
    ending : of its files, with the dot; capital or small letters are the same, and ``.yml`` is ``.yaml``.
    media_type : for downloads.
    about : one line for people.
    make : from the router that the point was made of, and the point, to the bytes of the file.
    """

    name: str
    ending: str
    media_type: str
    about: str
    make: Callable[[CarrotRouter, PointFile], bytes]


def as_json(_router: CarrotRouter, point: PointFile) -> bytes:
    """What ``docs/point.schema.json`` describes."""
    return f"{point.model_dump_json(indent=1)}\n".encode()


def as_yaml(_router: CarrotRouter, point: PointFile) -> bytes:
    """The same fields and values as `as_json`."""
    return to_yaml(point.model_dump(mode="json")).encode()


def as_python(_router: CarrotRouter, point: PointFile) -> bytes:
    """A script that routes prompts at the point; its first lines say what it needs beside carrot-core."""
    return f"{_SCRIPT_HEAD}{litellm.assignment(point)}{_SCRIPT_TAIL}".encode()


# Of two with one ending, the first is what the ending alone means.
FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("json", ".json", "application/json", "the document itself", as_json),
        Format("yaml", ".yaml", "application/yaml", "the same document as YAML", as_yaml),
        Format("html", ".html", "text/html", "one page to read and print", report.as_html),
        Format("svg", ".svg", "image/svg+xml", "the curve with the point on it, as a picture", report.as_svg),
        Format("png", ".png", "image/png", "the same picture", partial(report.as_image, "png")),
        Format("pdf", ".pdf", "application/pdf", "the same picture", partial(report.as_image, "pdf")),
        Format("python", ".py", "text/x-python", "a script that routes prompts at the point", as_python),
        Format("csv", ".csv", "text/csv", "the curve it lies on", as_csv),
        Format("parquet", ".parquet", "application/vnd.apache.parquet", "the curve it lies on", as_parquet),
        Format("litellm", ".yaml", "application/yaml", "configuration of LiteLLM's proxy", litellm.as_config),
        Format("litellm-hook", ".py", "text/x-python", "what that configuration loads", litellm.as_hook),
    )
}


def format_for(file_name: str, name: str | None = None) -> Format:
    """The format of a name, or the one that a file's ending means.

    Raises
    ------
    CarrotError
        There is no such format, or the file's name does not end as its files do.
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
