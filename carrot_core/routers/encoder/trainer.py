"""Fine-tuning with the Trainer of transformers, which can use several GPUs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments

from carrot_core.embedding import no_bar
from carrot_core.errors import CarrotError
from carrot_core.routers.encoder.network import WARMUP, Module, Task, collated


def transformers_trainer(module: Module, task: Task) -> list[dict[str, float]]:
    """Train with early stopping and checkpoints; the module ends with the weights of the best epoch."""
    if find_spec("accelerate") is None:
        raise CarrotError("trainer='transformers' needs accelerate: run `pip install 'carrot-core[trainer]'`.")
    if task.recipe.epochs == 0:
        return []
    with _folder(task) as folder:
        trainer = Trainer(
            model=_WithLoss(module, task),
            args=_arguments(task, folder),
            train_dataset=[_row(task, row) for row in task.train],
            eval_dataset=[_row(task, row) for row in task.held_out_rows],
            data_collator=lambda rows: _collated(rows, task.padding),
            callbacks=[EarlyStoppingCallback(task.recipe.patience)],
        )
        trainer.remove_callback(PrinterCallback)  # it prints to standard output
        with no_bar():
            trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    return [
        {"step": entry["step"], "held_out_loss": entry["eval_loss"]}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]


class _WithLoss(torch.nn.Module):
    """The module as the Trainer wants it: called with a batch, it gives loss and outputs."""

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
    """Where the Trainer keeps its checkpoints: kept after a failure only where the recipe has a place for them."""
    if task.recipe.checkpoints is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    folder = Path(task.recipe.checkpoints).expanduser() / task.fingerprint
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
