"""The head's start: fitted to the encoder as it is, so that fine-tuning starts from a linear router, not from noise."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch

from carrot_core.routers.encoder.nets.network import Module, predicted
from carrot_core.routers.encoder.nets.task import Task

_STEPS = 200
_PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # of the squared weights


def probe(module: Module, task: Task) -> None:
    """Fit the head alone.

    Linear probing, then fine-tuning: Kumar et al. 2022, arXiv 2202.10054. The penalty on the head's weights is
    the one with the least loss on the held-out rows.
    """
    found = [_features(module, task, rows) for rows in (task.train, task.held)]
    fits = [_head_fitted(module.head, task, found[0], penalty) for penalty in _PENALTIES]
    losses = []
    for fit in fits:
        module.head.load_state_dict(fit)
        with torch.inference_mode():
            losses.append(float(task.loss(module.head(found[1][0]), found[1][1])))
    module.head.load_state_dict(fits[int(np.argmin(losses))])


def _features(module: Module, task: Task, rows: npt.NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the head sees of some rows, and their targets."""
    tokens = [task.tokens[row] for row in rows]
    found = predicted(module.features, tokens, task.padding, module, task.precision())
    return (
        torch.from_numpy(found).float().to(task.device),
        torch.from_numpy(task.targets[rows]).to(task.device),
    )


def _head_fitted(
    head: torch.nn.Linear, task: Task, seen: tuple[torch.Tensor, torch.Tensor], penalty: float
) -> dict[str, torch.Tensor]:
    """Weights of the head with the least loss plus penalty."""
    for weight in head.parameters():
        torch.nn.init.zeros_(weight)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.loss(head(seen[0]), seen[1]) + penalty * (head.weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return copy.deepcopy(head.state_dict())
