"""CARROT chooses which model of a LiteLLM group answers; LiteLLM does everything else about the call."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from carrot_core.errors import CarrotError
from carrot_core.text import last_user_text

if TYPE_CHECKING:
    from carrot_core.serving import CarrotRouter

_log = logging.getLogger(__name__)

# LiteLLM's selection leaves out the deployments listed here, after every filter of its own
# (cooldown, tags, order, context window) and before it balances the load over the rest.
_EXCLUDED = "_excluded_deployment_ids"
_LOGGING = "litellm_logging_obj"


@dataclass(frozen=True)
class _Choice:
    """Models to ask for, best first, and why."""

    cause: str
    ranked: Sequence[str] = ()
    decision: Mapping[str, Any] = field(default_factory=dict)


class CarrotStrategy:
    """A custom routing strategy for one model group of a ``litellm.Router``.

    For calls to ``group``, CARROT ranks the models by utility, and LiteLLM selects among the
    deployments of the best model that has a usable one: if all of a model's deployments are in
    cooldown, barred or failed in this call, the next best model follows. The router's own strategy
    balances the deployments of one model. Retries, fallbacks, timeouts and cooldowns are LiteLLM's.
    If CARROT cannot decide, LiteLLM selects as it would without it. Other groups do not change.

    A call's ``metadata["carrot_task"]`` may have its task label, one of `CarrotRouter.task_labels`. Any other is
    ignored, and the decision says so.

    Each decision is kept in the call's ``metadata["carrot"]``, where LiteLLM's callbacks find it;
    it holds no text of the call.

    Parameters
    ----------
    router : litellm.Router
        Its deployments of ``group`` are read once, now: set a new strategy after changing them.
        A deployment stands for the model named in its ``model_info.carrot_model``, else in
        ``litellm_params.model``, with or without the provider before the slash. Models without a
        deployment are not in the pool.
    carrot : CarrotRouter
        The router that decides; for asynchronous calls it does so in another thread.
    group : str
        The ``model_name`` of the deployments in the pool, and the model that callers ask for.
    on_error : str, optional
        Model to call if CARROT cannot decide; by default LiteLLM's own choice in the whole group.
    text : callable
        Takes the messages (or ``input``) and returns the text to decide on.
    **policy
        ``lam``, ``budget``, ``target``, ``mu``, ``prices``, ``fallback``, ``fallback_above``: as
        in `CarrotRouter.decide`.

    Raises
    ------
    CarrotError
        The group has no deployment, deployments of unknown models, or no model ``on_error``; or
        CARROT refuses the policy.

    Examples
    --------
    >>> router.set_custom_routing_strategy(CarrotStrategy(router, carrot, lam=0.3))  # doctest: +SKIP
    """

    def __init__(
        self,
        router: Any,
        carrot: CarrotRouter,
        *,
        group: str = "carrot",
        on_error: str | None = None,
        text: Callable[[object], str] = last_user_text,
        **policy: Any,
    ) -> None:
        self._carrot, self._text = carrot, text
        self.group = group
        self._model_of = _models_by_deployment(router, carrot, group)
        pool = [model for model in carrot.models if model in self._model_of.values()]
        if on_error is not None and on_error not in pool:
            raise CarrotError(f"on_error names {on_error!r}, but the pool of {group!r} is {', '.join(pool)}.")
        self._otherwise = () if on_error is None else (on_error,)
        # Budgets and targets need the curve of the whole pool, so a pool is named only if it is smaller.
        self._policy = policy if len(pool) == len(carrot.models) else {**policy, "pool": pool}
        self._select = _litellm_own(router, "get_available_deployment", "_select")
        self._aselect = _litellm_own(router, "async_get_available_deployment", "_aselect")
        self._decide("Is this policy one that CARROT accepts?")  # now, not at the first call; loads the encoder

    async def async_get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, Any]] | None = None,
        input: str | list[Any] | None = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The deployment LiteLLM calls next, in asynchronous calls."""
        kwargs = {} if request_kwargs is None else request_kwargs
        ask = partial(self._aselect, model, kwargs, messages, input, specific_deployment)
        if model != self.group or specific_deployment:
            return await ask()
        choice = await asyncio.to_thread(self._choose, input if messages is None else messages, _task(kwargs))
        for name in choice.ranked:
            with self._only(name, kwargs):
                return self._noted(await ask(), choice, kwargs)
        return self._noted(await ask(), choice, kwargs)

    def get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, Any]] | None = None,
        input: str | list[Any] | None = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The deployment LiteLLM calls next, in synchronous calls."""
        kwargs = {} if request_kwargs is None else request_kwargs
        ask = partial(self._select, model, messages, input, specific_deployment, kwargs)
        if model != self.group or specific_deployment:
            return ask()
        choice = self._choose(input if messages is None else messages, _task(kwargs))
        for name in choice.ranked:
            with self._only(name, kwargs):
                return self._noted(ask(), choice, kwargs)
        return self._noted(ask(), choice, kwargs)

    def _choose(self, messages: object, task: str | None) -> _Choice:
        """Choose models; no failure reaches the call, and its message, which may quote the prompt, is not logged."""
        try:
            text = self._text(messages)
            return self._decide(text, task) if text.strip() else _Choice("no text", self._otherwise)
        except Exception as error:
            _log.warning("CARROT could not decide (%s); the call goes on without it.", type(error).__name__)
            return _Choice(f"error: {type(error).__name__}", self._otherwise)

    def _decide(self, text: str, task: str | None = None) -> _Choice:
        decisions = self._carrot.decide([text], task=task, **self._policy)
        names = decisions.estimates.models
        by_utility = [names[column] for column in np.argsort(-decisions.utility[0], kind="stable")]
        ranked = dict.fromkeys([decisions.models[0], *by_utility])
        record = decisions.records()[0]
        return _Choice("fell back" if record["fell_back"] else "utility", tuple(ranked), record)

    @contextmanager
    def _only(self, name: str, kwargs: dict[str, Any]) -> Iterator[None]:
        """Have LiteLLM select among the deployments of one model; leave no trace if none can be used."""
        before = dict(kwargs)
        others = [deployment for deployment, model in self._model_of.items() if model != name]
        kwargs[_EXCLUDED] = [*(kwargs.get(_EXCLUDED) or ()), *others, *_failed(kwargs)]
        logging_object = kwargs.pop(_LOGGING, None)  # LiteLLM would log this selection's failure as the call's
        try:
            yield
        except Exception:
            kwargs.clear()
            kwargs.update(before)
        else:
            if logging_object is not None:
                kwargs[_LOGGING] = logging_object

    def _noted(self, deployment: Any, choice: _Choice, kwargs: dict[str, Any]) -> Any:
        identity = str((deployment.get("model_info") or {}).get("id"))
        metadata = _metadata(kwargs)
        if metadata is not None:
            metadata["carrot"] = {
                "cause": choice.cause,
                "sent_to": self._model_of.get(identity),
                "deployment_ids": [*_failed(kwargs), identity],
                "decision": choice.decision,
            }
        return deployment


def _litellm_own(router: Any, method: str, backup_attribute: str) -> Callable[..., Any]:
    """LiteLLM's own selection, even if an earlier strategy has replaced it."""
    current = getattr(router, method)
    earlier = getattr(inspect.unwrap(current), "__self__", None)
    own: Callable[..., Any] = getattr(earlier, backup_attribute) if isinstance(earlier, CarrotStrategy) else current
    return own


def _metadata(kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    metadata = kwargs.get("litellm_metadata", kwargs.get("metadata"))
    return metadata if isinstance(metadata, dict) else None


def _task(kwargs: Mapping[str, Any]) -> str | None:
    """Task label in a call's metadata, which the caller writes: anything but text is ignored."""
    task = (_metadata(kwargs) or {}).get("carrot_task")
    return task if isinstance(task, str) else None


def _failed(kwargs: Mapping[str, Any]) -> list[str]:
    """Deployments that failed in this call, from metadata that the caller may have written: any value can occur."""
    metadata = _metadata(kwargs) or {}
    noted = metadata.get("carrot") if metadata.get("attempted_retries") else None  # LiteLLM counts its retries
    tried = noted.get("deployment_ids") if isinstance(noted, dict) else None
    return tried if isinstance(tried, list) else []


def _models_by_deployment(router: Any, carrot: CarrotRouter, group: str) -> dict[str, str]:
    """CARROT's model name of every deployment in the group, by deployment id."""
    deployments = router.get_model_list(model_name=group) or []
    if not deployments:
        raise CarrotError(f"LiteLLM has no deployment with model_name {group!r}. Give the deployments of the pool one.")
    named = {each["model_info"]["id"]: _model_name(each, carrot.models) for each in deployments}
    unknown = [each["litellm_params"]["model"] for each in deployments if named[each["model_info"]["id"]] is None]
    if unknown:
        raise CarrotError(
            f"{carrot.name} has no estimates for these deployments of {group!r}: {', '.join(unknown)}. "
            "Name the model of each as carrot_model in its model_info, or take it out of the group. "
            f"Models: {', '.join(carrot.models)}."
        )
    return {identity: model for identity, model in named.items() if model is not None}


def _model_name(deployment: Mapping[str, Any], models: Sequence[str]) -> str | None:
    model = deployment["model_info"].get("carrot_model") or deployment["litellm_params"]["model"]
    return next((name for name in (model, model.partition("/")[2]) if name in models), None)
