"""An operating point in the forms that people and programs take it in; `FORMATS` lists them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from carrot_core.errors import CarrotError
from carrot_core.exports import curve, document, litellm, report, script
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter


@dataclass(frozen=True)
class Format:
    """One form of an operating point.

    Attributes
    ----------
    name : as `carrot export --format` takes it.
    ending : of its files, with the dot.
    media_type : for downloads.
    about : one line for people.
    make : from the router that the point was made of, and the point, to the bytes of the file.
    """

    name: str
    ending: str
    media_type: str
    about: str
    make: Callable[[CarrotRouter, PointFile], bytes]


# Of two with one ending, the first is what the ending alone means.
FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format("json", ".json", "application/json", "the document itself", document.as_json),
        Format("yaml", ".yaml", "application/yaml", "the same document as YAML", document.as_yaml),
        Format("html", ".html", "text/html", "one page to read and print", report.as_html),
        Format("svg", ".svg", "image/svg+xml", "the curve with the point on it, as a picture", report.as_svg),
        Format("png", ".png", "image/png", "the same picture", partial(report.as_image, "png")),
        Format("pdf", ".pdf", "application/pdf", "the same picture", partial(report.as_image, "pdf")),
        Format("python", ".py", "text/x-python", "a script that routes prompts at the point", script.as_python),
        Format("csv", ".csv", "text/csv", "the curve it lies on", curve.as_csv),
        Format("parquet", ".parquet", "application/vnd.apache.parquet", "the curve it lies on", curve.as_parquet),
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
    if name is None:
        found = next((each for each in FORMATS.values() if file_name.endswith(each.ending)), None)
        if found is None:
            endings = ", ".join(dict.fromkeys(each.ending for each in FORMATS.values()))
            raise CarrotError(f"{file_name!r} must end in one of {endings}.")
        return found
    if name not in FORMATS:
        raise CarrotError(f"There is no format {name!r}; there are {', '.join(FORMATS)}.")
    if not file_name.endswith(FORMATS[name].ending):
        raise CarrotError(f"{file_name!r} must end in {FORMATS[name].ending} for the format {name}.")
    return FORMATS[name]
