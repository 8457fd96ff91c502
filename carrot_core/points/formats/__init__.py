"""The file formats of an operating point, for people and programs; `FORMATS` lists them by name."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pprint import pformat

import pandas as pd

from carrot_core.csv_latex import safe_csv
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate
from carrot_core.points.formats import report
from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFile, to_yaml

_GROUP = "carrot"
_PLACEHOLDER = "FILL-IN"
_CONFIG_HEAD = f"""\
# LiteLLM's proxy with CARROT choosing the model of each call to {_GROUP!r}, at one operating point.
#
# To fill in: a benchmark does not know where you run its models. In each "model: {_PLACEHOLDER}/..." put
# your deployment as LiteLLM names it (https://docs.litellm.ai/docs/providers), and beside it the api_base
# or api_key it needs, keys as os.environ/NAME. Leave carrot_model: it says which model of the benchmark the
# deployment is. Until every one is filled in, all calls are refused.
#
# Put carrot_hook.py beside this file, exported from the same point with --format litellm-hook. Then, with
# carrot-core[litellm] and litellm[proxy] installed:  litellm --config THIS_FILE
"""
_HOOK_HEAD = f'''"""LiteLLM's proxy asks CARROT for the model of each call to {_GROUP!r}, at the operating point below.

Save it as carrot_hook.py beside the configuration that names it in ``litellm_settings.callbacks``. Without
the proxy: ``router.set_custom_routing_strategy(strategy(router))`` for a ``litellm.Router`` of your own.
"""

from carrot_core import CarrotError, CarrotRouter
from carrot_core.gateways.litellm import CarrotStrategy
from carrot_core.serving.point import point_of
from litellm.integrations.custom_logger import CustomLogger

GROUP = "{_GROUP}"
'''
_HOOK_TAIL = f'''CARROT = CarrotRouter.load(point_of(POINT))


def strategy(router):
    """CARROT at the point; there must be a deployment of every model in its pool."""
    there = router.get_model_list(model_name=GROUP) or []
    ready = [each for each in there if not each["litellm_params"]["model"].startswith("{_PLACEHOLDER}/")]
    named = {{each["model_info"].get("carrot_model") for each in ready}}
    missing = [model for model in POINT["pool"] if model not in named]
    if missing:
        raise CarrotError(
            f"No deployment of {{GROUP!r}} is filled in for {{', '.join(missing)}}. "
            "Fill them in, or export a point without them in its pool."
        )
    return CarrotStrategy(router, CARROT, group=GROUP)


class Attach(CustomLogger):
    """Set the strategy at the first call, since the proxy's configuration has no place for it."""

    attached_to = None

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        from litellm.proxy.proxy_server import llm_router

        if llm_router is not self.attached_to:
            llm_router.set_custom_routing_strategy(strategy(llm_router))
            self.attached_to = llm_router
        return data


attach = Attach()
'''
_SCRIPT_HEAD = '''"""Which model answers a prompt, at an operating point that carrot-core exported.

    python FILE "What is 2 + 2?" "Prove that there are infinitely many primes."

prints the name of a model for each prompt, one per line. It calls no model and sends nothing; it needs
carrot-core, and the router that POINT names in "source", which must be the one that the point was made with.
"""

import sys

from carrot_core import CarrotError, CarrotRouter
from carrot_core.serving.point import point_of

'''
_SCRIPT_TAIL = """

def main() -> None:
    prompts = sys.argv[1:]
    if not prompts:
        sys.exit(f'Usage: python {sys.argv[0]} "PROMPT" ...')
    try:
        router = CarrotRouter.load(point_of(POINT))
    except CarrotError as error:
        sys.exit(f"Error: {error}")
    print(*router.route(prompts), sep="\\n")


if __name__ == "__main__":
    main()
"""


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
    return f"{_SCRIPT_HEAD}{assignment(point)}{_SCRIPT_TAIL}".encode()


def as_config(_router: CarrotRouter, point: PointFile) -> bytes:
    """LiteLLM's ``config.yaml``: a deployment to fill in for every model of the pool."""
    deployments = [
        {
            "model_name": _GROUP,
            "litellm_params": {"model": f"{_PLACEHOLDER}/{model}"},
            "model_info": {"carrot_model": model},
        }
        for model in point.pool
    ]
    settings = {"callbacks": "carrot_hook.attach"}
    return (_CONFIG_HEAD + to_yaml({"model_list": deployments, "litellm_settings": settings})).encode()


def as_hook(_router: CarrotRouter, point: PointFile) -> bytes:
    """LiteLLM's ``carrot_hook.py``, with the point in it."""
    return f"{_HOOK_HEAD}{assignment(point)}{_HOOK_TAIL}".encode()


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
