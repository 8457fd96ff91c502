"""Fine-tuning: the loss, the batches, the best weights, and trainings that go on where they were ended."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carrot_core.errors import DataError
from carrot_core.routers.encoder import Recipe, training
from carrot_core.routers.encoder import network as task_module
from carrot_core.routers.encoder.network import Network, Task, held_out
from carrot_core.routers.encoder.training import fine_tuned, loop
from tests.encoders import one_thread, tiny_encoder  # noqa: F401  (a fixture)
from tests.forks import KILLED, Forks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

# The first score and the usage follow from two words together, neither of which says anything alone: no linear
# head on the encoder as it is can tell.
WORDS = [(i % 2, i // 2 % 2) for i in range(96)]
TEXTS = [
    f"{'kind' if one else 'long'} {'one' if other else 'of'} {i}" + " so" * (i % 9)
    for i, (one, other) in enumerate(WORDS)
]
TARGETS = np.array([[one ^ other, 0.5, 1.0 + (one ^ other)] for one, other in WORDS])
TARGETS[::5, 1] = np.nan


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


def recipe(encoder: str, **params: Any) -> Recipe:
    chosen: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "patience": 9,
        "device": "cpu",
        **params,
    }
    return Recipe.of("test", chosen.pop("seed", 0), {"encoder": encoder, **chosen})


def task(encoder: str, **params: Any) -> tuple[Network, Task]:
    chosen = recipe(encoder, **params)
    network = Network.pretrained(encoder, 3, 60)
    train, rest = held_out(TEXTS, 0.2, 0)
    tokens = network.tokens(TEXTS)
    return network, Task(tokens, TARGETS.astype(np.float32), 2, encoder, train, rest, network.padding, chosen)


def weights(module: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


# The loss and the batches


def test_the_loss_is_that_of_its_definition(encoder: str) -> None:
    _, tuning = task(encoder, usage_weight=0.25)
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(6, 3)), np.c_[rng.random((6, 2)), rng.normal(size=6)]
    targets[rng.random((6, 3)) < 0.3] = np.nan
    entropy, squares = [], []
    for row in range(6):
        for column in range(3):
            y, z = targets[row, column], outputs[row, column]
            if math.isnan(y):
                continue
            if column < 2:
                p = 1 / (1 + math.exp(-z))
                entropy.append(-y * math.log(p) - (1 - y) * math.log(1 - p))
            else:
                squares.append((z - y) ** 2 / 2)
    expected = sum(entropy) / len(entropy) + 0.25 * sum(squares) / len(squares)
    result = tuning.loss(torch.tensor(outputs).float(), torch.tensor(targets).float())
    assert float(result) == pytest.approx(expected, rel=1e-5)
    nothing = tuning.loss(torch.zeros(2, 3), torch.full((2, 3), torch.nan))
    assert float(nothing) == 0.0


def test_an_unobserved_cell_has_no_gradient(encoder: str) -> None:
    _, tuning = task(encoder)
    outputs = torch.zeros(2, 3, requires_grad=True)
    targets = torch.tensor([[1.0, torch.nan, 2.0], [torch.nan, 0.0, torch.nan]])
    tuning.loss(outputs, targets).backward()
    assert (outputs.grad == 0).tolist() == targets.isnan().tolist()


def test_an_epoch_has_every_row_once_in_batches_of_like_length(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "_BUCKET_BATCHES", 3)
    _, tuning = task(encoder)
    batches = list(tuning.epoch(0))
    assert len(batches) == tuning.steps_per_epoch
    assert sorted(np.concatenate(batches)) == sorted(tuning.train)
    spread = np.mean([np.ptp([len(tuning.tokens[row]) for row in batch]) for batch in batches])
    assert spread < np.ptp([len(tuning.tokens[row]) for row in tuning.train]) / 2
    assert [list(each) for each in tuning.epoch(0)] == [list(each) for each in batches]
    assert [list(each) for each in tuning.epoch(1)] != [list(each) for each in batches]


def test_equal_texts_stay_on_one_side() -> None:
    texts = [f"text {i // 4}" for i in range(80)]
    train, rest = held_out(texts, 0.25, 3)
    assert not {texts[row] for row in train} & {texts[row] for row in rest}
    assert sorted([*train, *rest]) == list(range(80))
    assert len(rest) == 20


def test_the_rate_rises_then_falls() -> None:
    rates = [training._rate(step, 50) for step in range(50)]
    assert int(np.argmax(rates)) == 4
    assert max(rates) == 1.0
    assert 0 < rates[0] < rates[1]
    assert rates[-1] == pytest.approx(1 / 45)


# The best weights


def test_the_best_weights_are_kept_not_the_last(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses to order: the second look is the best, and its weights are copies that later steps do not change."""
    network, tuning = task(encoder, epochs=4, patience=9)
    weights_by_epoch, losses = [], iter([4.0, 1.0, 3.0, 2.0, 5.0])

    def loss(self: Task, module: Any) -> float:
        weights_by_epoch.append(weights(module))
        return next(losses)

    monkeypatch.setattr(Task, "held_loss", loss)
    history = loop(network.module, tuning)
    assert [entry["held_out_loss"] for entry in history] == [4.0, 1.0, 3.0, 2.0, 5.0]
    assert same(weights(network.module), weights_by_epoch[1])
    assert not same(weights_by_epoch[1], weights_by_epoch[4])


def test_training_ends_when_patience_does(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, tuning = task(encoder, epochs=9, patience=2)
    losses = iter([4.0, 1.0, 3.0, 2.0, 0.5])
    monkeypatch.setattr(Task, "held_loss", lambda self, module: next(losses))
    assert [entry["held_out_loss"] for entry in loop(network.module, tuning)] == [4.0, 1.0, 3.0, 2.0]


def test_training_never_ends_worse_than_it_started(encoder: str) -> None:
    network, tuning = task(encoder, learning_rate=5.0, epochs=2)
    start = tuning.held_loss(network.module)
    loop(network.module, tuning)
    assert tuning.held_loss(network.module) <= start


def test_training_lowers_the_loss(encoder: str) -> None:
    _, tuning, history = fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, epochs=6))
    assert min(entry["held_out_loss"] for entry in history) < history[0]["held_out_loss"] - 0.01
    assert tuning.steps_per_epoch * 6 == history[-1]["step"]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_too(encoder: str, precision: str) -> None:
    network, _, history = fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, precision=precision, epochs=8))
    assert min(entry["held_out_loss"] for entry in history) < history[0]["held_out_loss"]
    assert {weight.dtype for weight in network.module.parameters()} == {torch.float32}


def test_the_rest_of_the_program_keeps_its_random_numbers(encoder: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, epochs=1))
    assert torch.equal(torch.rand(3), expected)


# Trainings that go on


class KilledError(Exception):
    pass


def interrupted(encoder: str, folder: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is ended in the middle of a step."""
    learn, steps = training._Run.learn, 0

    def dying(self: Any, *arguments: Any) -> None:
        nonlocal steps
        steps += 1
        if steps > after:
            raise KilledError
        learn(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "learn", dying)
        with pytest.raises(KilledError):
            fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, checkpoints=str(folder)))


@pytest.fixture(scope="module")
def whole(encoder: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Weights and losses of the training that nothing ends."""
    torch.set_num_threads(1)
    network, _, history = fine_tuned(TEXTS, TARGETS, 2, recipe(encoder))
    return weights(network.module), history


@pytest.mark.parametrize("after", [11, 20])
def test_a_training_that_goes_on_is_the_one_never_ended(
    encoder: str, whole: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(training, "_CHECKPOINT_STEPS", 3)
    interrupted(encoder, tmp_path, after, monkeypatch)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    steps = []
    learn = training._Run.learn
    monkeypatch.setattr(training._Run, "learn", lambda self, *each: (steps.append(self.step), learn(self, *each))[1])
    resumed, _, again = fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, checkpoints=str(tmp_path)))
    assert same(whole[0], weights(resumed.module))
    assert again == whole[1]
    assert min(steps) == max(3 * (after // 3), 11 * (after // 11))
    assert not list(tmp_path.iterdir())


def test_other_data_or_parameters_are_another_training(encoder: str, tmp_path: Path, monkeypatch: Any) -> None:
    interrupted(encoder, tmp_path, 11, monkeypatch)
    changed = TARGETS.copy()
    changed[0, 0] = 0.25
    for targets, params in ((changed, {}), (TARGETS, {"seed": 1})):
        params = {"epochs": 1, **params}
        plain, _, _ = fine_tuned(TEXTS, targets, 2, recipe(encoder, **params))
        beside, _, _ = fine_tuned(TEXTS, targets, 2, recipe(encoder, checkpoints=str(tmp_path), **params))
        assert same(weights(plain.module), weights(beside.module))
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_damaged_checkpoint_is_refused(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(encoder, tmp_path, 11, monkeypatch)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="delete it to start afresh"):
        fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, checkpoints=str(tmp_path)))


def train_alone(encoder: str, checkpoints: str) -> None:
    torch.set_num_threads(1)
    fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, epochs=6, checkpoints=checkpoints))


def test_a_process_that_is_killed_loses_nothing(encoder: str, tmp_path: Path, forks: Forks) -> None:
    """A real SIGKILL, at whatever instant it comes after the first checkpoint."""
    (process,) = forks.start((train_alone, (encoder, str(tmp_path))))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    assert forks.ends() == [KILLED]
    expected = recipe(encoder, epochs=6)
    resumed, _, _ = fine_tuned(TEXTS, TARGETS, 2, replace(expected, checkpoints=str(tmp_path)))
    uninterrupted, _, _ = fine_tuned(TEXTS, TARGETS, 2, expected)
    assert same(weights(uninterrupted.module), weights(resumed.module))


# The Trainer of transformers


def test_the_trainer_of_transformers_learns_the_same_task(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("accelerate")
    start = fine_tuned(TEXTS, TARGETS, 2, recipe(encoder, epochs=0))[2][0]["held_out_loss"]
    chosen = recipe(encoder, epochs=6, trainer="transformers")
    network, tuning, history = fine_tuned(TEXTS, TARGETS, 2, chosen)
    best = min(entry["held_out_loss"] for entry in history)
    assert best < start - 0.01
    assert tuning.held_loss(network.module) == pytest.approx(best, rel=0.02)
    assert capsys.readouterr().out == ""
    one, other = (fine_tuned(TEXTS, TARGETS, 2, replace(chosen, epochs=1))[0].module for _ in range(2))
    assert same(weights(one), weights(other))


def test_the_trainer_goes_on_from_its_last_epoch(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    from transformers import Trainer

    chosen = recipe(encoder, epochs=2, trainer="transformers")
    whole, _, _ = fine_tuned(TEXTS, TARGETS, 2, chosen)
    evaluate, looks = Trainer.evaluate, 0

    def dying(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KilledError
        return evaluate(self, *arguments, **named)

    with_folder = replace(chosen, checkpoints=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", dying)
        with pytest.raises(KilledError):
            fine_tuned(TEXTS, TARGETS, 2, with_folder)
    assert list(tmp_path.glob("*/checkpoint-*"))
    resumed, _, history = fine_tuned(TEXTS, TARGETS, 2, with_folder)
    assert len(history) == 2
    for name, tensor in weights(whole.module).items():
        torch.testing.assert_close(weights(resumed.module)[name], tensor)
    assert not list(tmp_path.iterdir())
