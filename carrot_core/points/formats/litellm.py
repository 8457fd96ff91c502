"""CARROT at an operating point inside LiteLLM's proxy: its configuration, and the hook that this one loads."""

from __future__ import annotations

from pprint import pformat

from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFile, to_yaml

GROUP = "carrot"
PLACEHOLDER = "FILL-IN"
_CONFIG_HEAD = f"""\
# LiteLLM's proxy with CARROT choosing the model of each call to {GROUP!r}, at one operating point.
#
# To fill in: a benchmark does not know where you run its models. In each "model: {PLACEHOLDER}/..." put
# your deployment as LiteLLM names it (https://docs.litellm.ai/docs/providers), and beside it the api_base
# or api_key it needs, keys as os.environ/NAME. Leave carrot_model: it says which model of the benchmark the
# deployment is. While one is not filled in, or is missing, every call is refused.
#
# Beside this file goes carrot_hook.py, exported from the same point with --format litellm-hook. Then, with
# carrot-core[litellm] and litellm[proxy] installed:  litellm --config THIS_FILE
"""
_HOOK_HEAD = f'''"""LiteLLM's proxy asks CARROT for the model of each call to {GROUP!r}, at the operating point below.

Save it as carrot_hook.py beside the configuration that names it in ``litellm_settings.callbacks``. Without
the proxy: ``router.set_custom_routing_strategy(strategy(router))`` for a ``litellm.Router`` of your own.
"""

from carrot_core import CarrotError
from carrot_core.gateways.litellm import CarrotStrategy
from carrot_core.serving.loading import at_point
from carrot_core.serving.point import point_of
from litellm.integrations.custom_logger import CustomLogger

GROUP = "{GROUP}"
'''
_HOOK_TAIL = f'''CARROT = at_point(point_of(POINT))


def strategy(router):
    """CARROT at the point, which needs a deployment of every model in its pool."""
    there = router.get_model_list(model_name=GROUP) or []
    ready = [each for each in there if not each["litellm_params"]["model"].startswith("{PLACEHOLDER}/")]
    named = {{each["model_info"].get("carrot_model") for each in ready}}
    missing = [model for model in POINT["pool"] if model not in named]
    if missing:
        raise CarrotError(
            f"No deployment of {{GROUP!r}} is filled in for {{', '.join(missing)}}. "
            "Fill them in, or export a point whose pool is without them."
        )
    return CarrotStrategy(router, CARROT, group=GROUP)


class Attach(CustomLogger):
    """The proxy's configuration has no place for a strategy: the first call sets it."""

    attached_to = None

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        from litellm.proxy.proxy_server import llm_router

        if llm_router is not self.attached_to:
            llm_router.set_custom_routing_strategy(strategy(llm_router))
            self.attached_to = llm_router
        return data


attach = Attach()
'''


def as_config(_router: CarrotRouter, point: PointFile) -> bytes:
    """``config.yaml``: a deployment to fill in for every model of the pool."""
    deployments = [
        {
            "model_name": GROUP,
            "litellm_params": {"model": f"{PLACEHOLDER}/{model}"},
            "model_info": {"carrot_model": model},
        }
        for model in point.pool
    ]
    settings = {"callbacks": "carrot_hook.attach"}
    return (_CONFIG_HEAD + to_yaml({"model_list": deployments, "litellm_settings": settings})).encode()


def as_hook(_router: CarrotRouter, point: PointFile) -> bytes:
    """``carrot_hook.py``, with the point in it."""
    return f"{_HOOK_HEAD}{assignment(point)}{_HOOK_TAIL}".encode()


def assignment(point: PointFile) -> str:
    """``POINT = {...}``, whatever characters the names in it are made of."""
    # `repr` writes what is not printable, line ends and reversed text among it, as escapes.
    return f"POINT = {pformat(point.model_dump(mode='json'), width=110, sort_dicts=False)}\n"
