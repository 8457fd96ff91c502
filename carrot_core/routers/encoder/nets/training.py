"""Fine-tuning of a network on scores and usage, in a plain PyTorch loop or with the Trainer of transformers.

Every random step is a function of the seed and the step's number alone, so that a training that goes on
from a checkpoint is the one that was never interrupted (bit for bit on a CPU).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from carrot_core.outcomes import FloatTable
from carrot_core.routers.encoder.nets.checkpoint import Checkpoint
from carrot_core.routers.encoder.nets.network import Module, Network, device_of
from carrot_core.routers.encoder.nets.probe import probe
from carrot_core.routers.encoder.nets.task import Task, held_out
from carrot_core.routers.encoder.recipe import Recipe, chosen_encoder

WARMUP = 0.1
_CHECKPOINT_STEPS = 500
_CLIP = 1.0


def fine_tuned(
    texts: Sequence[str], targets: FloatTable, n_scores: int, recipe: Recipe
) -> tuple[Network, Task, list[dict[str, float]]]:
    """A network that has learned the targets of some texts, what it learned from, and the loss after each epoch.

    Parameters
    ----------
    texts : n prompts.
    targets : (n, k) scores in [0, 1], then usage on a log scale; NaN = not observed.
    n_scores : how many of the k are scores.
    recipe : how.
    """
    encoder, device = chosen_encoder(recipe.encoder), device_of(recipe.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)  # weights that an encoder lacks are drawn when it is loaded
        network = Network.pretrained(encoder, targets.shape[1], recipe.max_length)
        train, held = held_out(texts, recipe.held_out, recipe.seed)
        tokens, wanted = network.tokens(texts), targets.astype(np.float32)
        task = Task(tokens, wanted, n_scores, encoder, train, held, network.padding, recipe)
        network.module.to(task.device)
        probe(network.module, task)
        if recipe.trainer == "loop":
            history = loop(network.module, task)
        else:
            from carrot_core.routers.encoder.nets.trainer import transformers_trainer

            history = transformers_trainer(network.module, task)
    network.module.eval()
    return network, task, history


def loop(module: Module, task: Task) -> list[dict[str, float]]:
    """Train in plain PyTorch, with early stopping and checkpoints; the module ends with the best weights."""
    run = _Run(module, task)
    total = task.recipe.epochs * task.steps_per_epoch
    with tqdm(total=total, desc="Training", delay=5.0, leave=False) as bar:
        bar.update(run.resumed())
        while run.step < total and run.waited < task.recipe.patience:
            number, done = divmod(run.step, task.steps_per_epoch)
            for rows in islice(task.epoch(number), done, None):
                run.learn(rows, total)
                bar.update()
                if run.step % task.steps_per_epoch == 0:
                    run.look()
                if run.step % task.steps_per_epoch == 0 or run.step % _CHECKPOINT_STEPS == 0:
                    run.save()
    module.load_state_dict(run.best)
    run.checkpoint.remove()
    return run.history


class _Run:
    """A training under way: weights, moments, and the best weights so far."""

    def __init__(self, module: Module, task: Task) -> None:
        self.module, self.task = module, task
        matrices = [weight for weight in module.parameters() if weight.ndim > 1]
        others = [weight for weight in module.parameters() if weight.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": task.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=task.recipe.learning_rate)
        self.scaler = torch.amp.GradScaler(task.device.type, enabled=task.dtype is torch.float16)
        self.checkpoint = Checkpoint(task.recipe.checkpoints, task.fingerprint)
        self.step, self.waited = 0, 0
        self.history: list[dict[str, float]] = []
        self.lowest = np.inf

    def resumed(self) -> int:
        """Take up the last checkpoint where there is one; the number of steps done."""
        saved = self.checkpoint.read(self.task.device)
        if saved is None:
            self.look()
            return 0
        self.module.load_state_dict(saved.weights)
        self.best = saved.best
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": saved.moments})
        self.scaler.load_state_dict(saved.state["scaler"])
        self.step, self.waited, self.history = (saved.state[name] for name in ("step", "waited", "history"))
        self.lowest = min(entry["held_out_loss"] for entry in self.history)
        return self.step

    def learn(self, rows: npt.NDArray[np.intp], total: int) -> None:
        """One step of AdamW."""
        self.module.train()
        seed = np.random.SeedSequence([self.task.recipe.seed, self.step]).generate_state(1)[0]
        torch.manual_seed(int(seed))  # of dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.task.recipe.learning_rate * _rate(self.step, total)
        ids, mask, targets = self.task.batch(rows)
        with self.task.precision():
            loss = self.task.loss(self.module(ids, mask), targets)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), _CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1

    def look(self) -> None:
        """Loss on the held-out rows; keep a copy of the weights where they are the best so far."""
        loss = self.task.held_loss(self.module)
        self.history.append({"step": self.step, "held_out_loss": loss})
        if self.step == 0 or loss < self.lowest:
            # A copy: a state_dict holds the live weights, which go on changing.
            self.best, self.lowest, self.waited = copy.deepcopy(self.module.state_dict()), loss, 0
        else:
            self.waited += 1

    def save(self) -> None:
        state = {
            "step": self.step,
            "waited": self.waited,
            "history": self.history,
            "scaler": self.scaler.state_dict(),
        }
        self.checkpoint.write(self.module.state_dict(), self.best, self.optimizer.state_dict()["state"], state)


def _rate(step: int, total: int) -> float:
    """Share of the peak learning rate: up over the first tenth of the steps, then down to 0."""
    warm = max(1, round(WARMUP * total))
    return (step + 1) / warm if step < warm else max(0.0, (total - step) / max(1, total - warm))
