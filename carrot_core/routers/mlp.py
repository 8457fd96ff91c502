"""CARROT-MLP: a small ensemble of networks with one hidden layer, trained on contrasts between models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold
from sklearn.utils._param_validation import Interval

from carrot_core.routers.criteria import Costs, UsageScale, contrast_loss, observed_mean
from carrot_core.routers.neighbours import FloatArray, IntArray
from carrot_core.routers.regressor import ScoreAndUsage, TableRegressor

if TYPE_CHECKING:
    import torch

Float32Array = npt.NDArray[np.float32]

# A pass has about twenty steps with few prompts, and steps of at most 256 prompts with many.
_STEPS, _LARGEST_BATCH = 20, 256
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 0.01
# Weight of levels and usage beside the contrasts: enough to learn them, too little to compete.
_LEVEL_WEIGHT = 0.1
_USAGE_WEIGHT = 0.1


class CarrotMLP(TableRegressor):
    """Neural estimates of every model's score and usage on a prompt, averaged over an ensemble.

    Each network leaves out one fold of the prompts and takes the weights of the pass after which its contrasts between
    models err least there; the ensemble is the mean. Scores and log usage share the hidden layer. The loss is the
    squared error of the **contrasts** (a score minus the mean of the observed scores on that prompt), which decide the
    choice, plus a tenth of that of the scores and of the log usage. Training uses PyTorch; estimates are plain matrix
    products.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer (ReLU).
    dropout : float
        Share of hidden units switched off at each training step, from 0 up to 1.
    n_networks : int
        Networks, each with its own fold left out, at least 2; no more than there are prompts.
    max_epochs : int
        Passes over the prompts at most.
    patience : int
        Passes without a better left-out error before a network stops.
    seed : int
        Seed of folds, first weights and dropout.

    Attributes
    ----------
    layers_ : tuple of float32 arrays
        Weights and biases of all E networks: (E, d, H), (E, H), (E, H, T), (E, T).
    centre_, scale_ : (T,) of the targets: M scores, then M logs of usage after a fit with usage.
    usage_scale_ : UsageScale
        Between usage and its logs; ``bias_`` is the bias before correction. Only after a fit with usage.
    n_features_in_ : int
        Width d of the vectors.
    feature_names_in_ : (d,) array of str
        Column names of X; only where X has them.

    Notes
    -----
    NaN cells of y and usage are "not observed" and leave the loss.

    References
    ----------
    CARROT: A Cost Aware Rate Optimal Router, arXiv 2502.03261 (plug-in estimates; loss and stopping are ours).

    Examples
    --------
    >>> import numpy as np
    >>> from carrot_core.routers.mlp import CarrotMLP
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 4))
    >>> score = np.column_stack([X[:, 0] > 0, X[:, 0] < 0]).astype(float)
    >>> CarrotMLP().fit(X, score).predict([[1.0, 0.0, 0.0, 0.0]]).argmax(axis=1)
    array([0])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_networks": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "seed": [Interval(Integral, 0, 2**32 - 1, closed="both")],
    }

    def __init__(
        self,
        hidden: int = 32,
        dropout: float = 0.5,
        n_networks: int = 5,
        max_epochs: int = 60,
        patience: int = 8,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.n_networks = n_networks
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    def learn(
        self, X: FloatArray, score: FloatArray, usage: FloatArray | None, costs: Costs | None = None
    ) -> ScoreAndUsage:
        self._has_usage = usage is not None
        table = score
        if usage is not None:
            self.usage_scale_ = UsageScale().fit(usage)
            table = np.hstack([score, self.usage_scale_.logs(usage)])
        self.centre_, self.scale_ = _centre_and_scale(table, score.shape[1])
        target = (table - self.centre_) / self.scale_
        folds = KFold(min(self.n_networks, len(X)), shuffle=True, random_state=self.seed)
        networks, left_out = [], np.empty_like(table)
        with _torch_seeded(self.seed):
            for train, held_out in folds.split(X):
                networks.append(self._train(X, target, score.shape[1], train, held_out))
                left_out[held_out] = self._unscaled(_forward(X[held_out], networks[-1]))
        self.layers_ = tuple(np.array(layer) for layer in zip(*networks, strict=True))
        if usage is None:
            return left_out, None
        left_out_score, left_out_logs = np.hsplit(left_out, 2)
        return left_out_score, self.usage_scale_.correct(left_out_logs, usage).usage(left_out_logs)

    def estimate(self, X: FloatArray) -> ScoreAndUsage:
        networks = zip(*self.layers_, strict=True)
        outputs = self._unscaled(np.mean([_forward(X, Network(*layers)) for layers in networks], axis=0))
        if not self._has_usage:
            return outputs, None
        score, logs = np.hsplit(outputs, 2)
        return score, self.usage_scale_.usage(logs)

    def _unscaled(self, outputs: FloatArray) -> FloatArray:
        return outputs * self.scale_ + self.centre_

    def _train(self, X: FloatArray, target: FloatArray, m: int, train: IntArray, held_out: IntArray) -> Network:
        """One network, at the pass after which its contrasts err least on the prompts left out."""
        import torch

        module = _module(X.shape[1], self.hidden, target.shape[1], self.dropout)
        optimiser = torch.optim.AdamW(module.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        inputs, targets = (torch.tensor(array[train], dtype=torch.float32) for array in (_scale_up(X), target))
        batch = min(-(-len(train) // _STEPS), _LARGEST_BATCH)
        best, least, since = _network(module), np.inf, 0
        for _ in range(self.max_epochs):
            module.train()
            for rows in torch.split(torch.randperm(len(train)), batch):
                optimiser.zero_grad()
                torch.autograd.backward(_loss(module(inputs[rows]), targets[rows], m))
                optimiser.step()
            now = _network(module)
            error = contrast_loss(target[held_out, :m], _forward(X[held_out], now)[:, :m])
            since = 0 if error < least else since + 1
            if since == 0:
                best, least = now, error
            elif since == self.patience:
                break
        return best


class Network(NamedTuple):
    """Weights and biases of one network: (d, H), (H,), (H, T), (T,)."""

    weights_in: Float32Array
    bias_in: Float32Array
    weights_out: Float32Array
    bias_out: Float32Array


def _scale_up(X: FloatArray) -> FloatArray:
    """Vectors of length 1 scaled to entries of about 1, as common initial weights expect."""
    widened: FloatArray = X * np.sqrt(X.shape[1])
    return widened


def _forward(X: FloatArray, network: Network) -> FloatArray:
    hidden: FloatArray = np.asarray(_scale_up(X) @ network.weights_in + network.bias_in).clip(min=0.0)
    outputs: FloatArray = hidden @ network.weights_out + network.bias_out
    return outputs


def _centre_and_scale(table: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    """Train means, and scales: one for all scores, so that contrasts stay contrasts, and one for each log usage."""
    centre: FloatArray = observed_mean(table)[0]
    variance = observed_mean(np.square(table - centre))[0]
    variance[:m] = np.mean(variance[:m])
    scale: FloatArray = np.asarray(np.sqrt(np.where(variance > 0.0, variance, 1.0)), dtype=np.float64)
    return centre, scale


@contextmanager
def _torch_seeded(seed: int) -> Iterator[None]:
    """PyTorch with seeded random numbers and one thread; both are restored afterwards."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)  # in steps this small, threads only wait for each other
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _module(d: int, hidden: int, outputs: int, dropout: float) -> torch.nn.Sequential:
    from torch import nn

    last = nn.Linear(hidden, outputs)
    nn.init.normal_(last.weight, std=0.1 / np.sqrt(hidden))  # begins near the train means
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Dropout(dropout), last)


def _network(module: torch.nn.Sequential) -> Network:
    """A copy of the current weights."""
    weights_in, bias_in, weights_out, bias_out = (layer.detach().numpy().copy() for layer in module.parameters())
    return Network(weights_in.T, bias_in, weights_out.T, bias_out)


def _loss(outputs: torch.Tensor, target: torch.Tensor, m: int) -> torch.Tensor:
    """Mean squared error of contrasts, scores and log usage over the observed cells, weighted."""
    mask = ~target.isnan()
    error = (outputs - target.nan_to_num()) * mask
    count = mask[:, :m].sum(dim=1, keepdim=True).clamp(min=1)
    level = error[:, :m].sum(dim=1, keepdim=True) / count * mask[:, :m]
    contrast = error[:, :m] - level if m > 1 else error
    parts = [(1.0, contrast, mask[:, :m]), (_LEVEL_WEIGHT, error[:, :m], mask[:, :m])]
    parts.append((_USAGE_WEIGHT, error[:, m:], mask[:, m:]))
    losses = [weight * (part**2).sum() / cells.sum().clamp(min=1) for weight, part, cells in parts]
    return losses[0] + losses[1] + losses[2]
