"""Fine-tuning of a network on scores and usage, in a plain PyTorch loop or with the Trainer of transformers.

Every random step depends only on the seed and the step's number, so that training resumed from a checkpoint equals
uninterrupted training (bit for bit on a CPU).
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from carrot_core.embedding import no_bar
from carrot_core.errors import CarrotError, DataError
from carrot_core.outcomes import FloatTable
from carrot_core.routers.encoder import Recipe, chosen_encoder
from carrot_core.routers.encoder.network import WARMUP, Module, Network, Task, collated, device_of, held_out, probe

if TYPE_CHECKING:
    from transformers import TrainingArguments

_CHECKPOINT_STEPS = 500
_CLIP = 1.0


def fine_tuned(
    texts: Sequence[str], targets: FloatTable, n_scores: int, recipe: Recipe
) -> tuple[Network, Task, list[dict[str, float]]]:
    """A network fine-tuned on the targets of some texts, its learning task, and the losses after each epoch.

    Parameters
    ----------
    texts : n prompts.
    targets : (n, k) scores in [0, 1], then usage on a log scale; NaN = not observed.
    n_scores : number of scores among the k.
    recipe : parameters of the fine-tuning.
    """
    encoder, device = chosen_encoder(recipe.encoder), device_of(recipe.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)  # weights that an encoder lacks are drawn when it is loaded
        network = Network.pretrained(encoder, targets.shape[1], recipe.max_length)
        train, held_out_rows = held_out(texts, recipe.held_out, recipe.seed)
        tokens, truth = network.tokens(texts), targets.astype(np.float32)
        task = Task(tokens, truth, n_scores, encoder, train, held_out_rows, network.padding, recipe)
        network.module.to(task.device)
        probe(network.module, task)
        train_with = loop if recipe.trainer == "loop" else transformers_trainer
        history = train_with(network.module, task)
    network.module.eval()
    return network, task, history


def loop(module: Module, task: Task) -> list[dict[str, float]]:
    """Train in plain PyTorch, with early stopping and checkpoints; the module ends with the best weights."""
    run = _Run(module, task)
    total = task.recipe.epochs * task.steps_per_epoch
    with tqdm(total=total, desc="Training", delay=5.0, leave=False) as bar:
        bar.update(run.resume())
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
    """The state of a running training: weights, moments, and the best weights so far."""

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

    def resume(self) -> int:
        """Resume from the last checkpoint if there is one; returns the number of steps done."""
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
        torch.manual_seed(int(seed))  # seeds dropout
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
        """Loss on the held-out rows; keeps a copy of the weights if they are the best so far."""
        loss = self.task.held_loss(self.module)
        self.history.append({"step": self.step, "held_out_loss": loss})
        if self.step == 0 or loss < self.lowest:
            # A copy: a state_dict has the live weights, which keep changing.
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


Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Saved:
    """Content of a checkpoint: weights, the best ones so far, AdamW's moments by parameter, and the rest."""

    weights: Tensors
    best: Tensors
    moments: dict[int, Tensors]
    state: dict[str, Any]


class Checkpoint:
    """The checkpoint of one training, in a folder that other trainings may share; without a folder, nothing is
    stored."""

    def __init__(self, folder: str | None, fingerprint: str) -> None:
        self.path = None if folder is None else Path(folder).expanduser() / f"{fingerprint}.safetensors"

    def write(
        self,
        weights: Mapping[str, torch.Tensor],
        best: Mapping[str, torch.Tensor],
        moments: Mapping[int, Mapping[str, torch.Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        """Replace the file atomically: a process killed meanwhile leaves the previous one."""
        if self.path is None:
            return
        flat = {f"{number}/{name}": value for number, each in moments.items() for name, value in each.items()}
        parts = {"weights": weights, "best": best, "moments": flat}
        tensors = {
            f"{part}/{name}": value.detach().contiguous()
            for part, group in parts.items()
            for name, value in group.items()
        }
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, {"state": json.dumps(state)})
            os.replace(part, self.path)
        except (OSError, SafetensorError) as error:
            raise CarrotError(f"The checkpoint {self.path} cannot be written: {error}.") from error

    def read(self, device: torch.device) -> Saved | None:
        """The last checkpoint, or None if there is none."""
        if self.path is None or not self.path.exists():
            return None
        tensors: dict[str, Tensors] = {"weights": {}, "best": {}, "moments": {}}
        try:
            with safe_open(self.path, "pt", str(device)) as file:
                state = json.loads(file.metadata()["state"])
                for key in file.keys():  # noqa: SIM118  (not a dict)
                    part, _, name = key.partition("/")
                    tensors[part][name] = file.get_tensor(key)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(str(self.path), f"is no checkpoint ({error}); delete it to start afresh") from error
        moments: dict[int, Tensors] = {}
        for name, tensor in tensors["moments"].items():
            number, _, key = name.partition("/")
            moments.setdefault(int(number), {})[key] = tensor
        return Saved(tensors["weights"], tensors["best"], moments, state)

    def remove(self) -> None:
        """Delete the checkpoint after the training has finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def transformers_trainer(module: Module, task: Task) -> list[dict[str, float]]:
    """Like `loop`, with the Trainer of transformers, which can use several GPUs; it returns the best epoch."""
    if find_spec("accelerate") is None:
        raise CarrotError("trainer='transformers' needs accelerate: run `pip install 'carrot-core[trainer]'`.")
    if task.recipe.epochs == 0:
        return []
    from transformers import EarlyStoppingCallback, PrinterCallback, Trainer

    with _folder(task) as folder:
        trainer = Trainer(
            model=_WithLoss(module, task),
            args=_arguments(task, folder),
            train_dataset=[_row(task, row) for row in task.train],
            eval_dataset=[_row(task, row) for row in task.held_out_rows],
            data_collator=lambda rows: _collated(rows, task.padding),
            callbacks=[EarlyStoppingCallback(task.recipe.patience)],
        )
        trainer.remove_callback(PrinterCallback)  # it would print to standard output
        with no_bar():
            trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    return [
        {"step": entry["step"], "held_out_loss": entry["eval_loss"]}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]


class _WithLoss(torch.nn.Module):
    """The module in the Trainer's form: called with a batch, it returns loss and outputs."""

    def __init__(self, module: Module, task: Task) -> None:
        super().__init__()
        self.module = module
        self._loss = task.loss

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        outputs = self.module(input_ids, attention_mask)
        return {"loss": self._loss(outputs, labels), "logits": outputs}


def _arguments(task: Task, folder: Path) -> TrainingArguments:
    from transformers import TrainingArguments

    recipe = task.recipe
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=WARMUP,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        label_names=["labels"],
        bf16=task.dtype is torch.bfloat16,
        fp16=task.dtype is torch.float16,
        use_cpu=task.device.type == "cpu",
        dataloader_pin_memory=task.device.type == "cuda",
        seed=recipe.seed,
        data_seed=recipe.seed,
        report_to="none",
        disable_tqdm=True,
    )


def _row(task: Task, row: int) -> dict[str, Any]:
    return {"input_ids": task.tokens[row], "labels": task.targets[row]}


def _collated(rows: Sequence[Mapping[str, Any]], padding: int) -> dict[str, torch.Tensor]:
    ids, mask = collated([row["input_ids"] for row in rows], padding, torch.device("cpu"))
    labels = torch.stack([torch.from_numpy(row["labels"]) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@contextmanager
def _folder(task: Task) -> Iterator[Path]:
    """Folder of the Trainer's checkpoints; they outlive a failure only if the recipe has a folder for them."""
    if task.recipe.checkpoints is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    folder = Path(task.recipe.checkpoints).expanduser() / task.fingerprint
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
