"""Inputs of an estimator besides the vector of a prompt: its task label, inferred if unknown, and its text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.utils.extmath import randomized_svd

from carrot_core.errors import CarrotError
from carrot_core.routers.criteria import observed_mean
from carrot_core.routers.neighbours import FloatArray, IntArray
from carrot_core.routers.regressor import ScoreAndUsage

# A weak penalty, so that clear cases get high probabilities; few steps, since further ones only sharpen them.
_C, _STEPS = 10.0, 30


class TaskPrior:
    """Multinomial logistic regression from vectors to the training tasks, and each model's mean score on them.

    Attributes
    ----------
    weights_, intercept_ : (d, K), (K,) float32
        Log-probabilities up to a constant are x @ weights_ + intercept_; -inf for a task without prompts.
    means_ : (K, M)
        Train mean of each model on each task; its mean over all tasks for a task on which it was never observed.
    """

    def fit(self, X: FloatArray, tasks: IntArray, score: FloatArray) -> Self:
        """Learn from (n, d) vectors, n tasks numbered from 0, and (n, M) scores, NaN = not observed."""
        n_tasks = int(tasks.max()) + 1
        present = np.unique(tasks)
        self.weights_ = np.zeros((X.shape[1], n_tasks), np.float32)
        self.intercept_ = np.full(n_tasks, -np.inf, np.float32)
        self.intercept_[present] = 0.0
        if len(present) > 1:
            learned = present if len(present) > 2 else present[1:]  # two tasks: one is the complement
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
                model = LogisticRegression(C=_C, max_iter=_STEPS).fit(X, tasks)
            self.weights_[:, learned], self.intercept_[learned] = model.coef_.T, model.intercept_
        overall = observed_mean(score)
        self.means_ = np.tile(np.nan_to_num(overall), (n_tasks, 1))
        for task in present:
            mean = observed_mean(score[tasks == task])[0]
            self.means_[task] = np.where(np.isnan(mean), self.means_[task], mean)
        return self

    def probabilities(self, X: FloatArray) -> FloatArray:
        """(m, K) probability of each task."""
        probabilities: FloatArray = softmax(X @ self.weights_.astype(np.float64) + self.intercept_, axis=1)
        return probabilities


# Weight of the label beside a vector of length 1, as in the blend's kernel ridge. On left-out training prompts,
# contrasts err up to 1 % more at half and up to 0.6 % less at twice this (docs/method.md, "The task label as an
# input").
_WEIGHT = 0.5
# A task this much less likely than the likeliest is left out of the mixture.
_NEGLIGIBLE = 0.02
_AT_ONCE = 256  # prompts without a label, each of which becomes a row for every likely task


class TaskInput:
    """Task label beside a prompt's vector; if it is not known, estimates are the mean over the likely tasks.

    An estimator f is fitted on vectors x with the label t of each prompt beside them. A prompt with a known label is
    estimated by f(x, t), one without by the sum of p(t | x) · f(x, t), with p inferred from the vector
    (`TaskPrior`). So both are estimates by one fit, and one is calibrated if the other is and p is.

    Attributes
    ----------
    labels_ : K labels, ascending.
    prior_ : TaskPrior
        Of the labels, by vectors of length 1.
    """

    def fit(self, X: npt.ArrayLike, tasks: Sequence[str], score: FloatArray) -> Self:
        """Learn the labels and how to infer them, from (n, d) vectors and n labels, "" where a prompt has none.

        Raises
        ------
        CarrotError
            Fewer than two different labels.
        """
        self.labels_ = tuple(sorted(set(tasks) - {""}))
        if len(self.labels_) < 2:
            raise CarrotError("use_task needs training prompts of at least two tasks, and these have fewer.")
        numbers = self.numbers(tasks)
        known = numbers >= 0
        self.prior_ = TaskPrior().fit(_of_length_1(np.asarray(X)[known]), numbers[known], score[known])
        return self

    def numbers(self, tasks: Sequence[str]) -> IntArray:
        """(n,) position of each label in ``labels_``, compared letter by letter; -1 for an unknown one."""
        places = {label: place for place, label in enumerate(self.labels_)}
        return np.array([places.get(task, -1) for task in tasks], dtype=np.intp)

    def beside(self, X: npt.ArrayLike, tasks: Sequence[str]) -> FloatArray:
        """(n, d + K) vectors with labels beside them; a missing label is its inferred probabilities."""
        vectors, numbers = _of_length_1(X), self.numbers(tasks)
        labels = np.eye(len(self.labels_))[numbers]
        labels[numbers < 0] = self.prior_.probabilities(vectors[numbers < 0])
        return np.hstack([vectors, _WEIGHT * labels])

    def estimate(
        self, predict: Callable[[FloatArray], ScoreAndUsage], X: npt.ArrayLike, tasks: Sequence[str]
    ) -> ScoreAndUsage:
        """Scores and usage (None where ``predict`` gives None) of (m, d) vectors with m labels, known or not.

        ``predict`` takes vectors with labels beside them, as in the fit.
        """
        vectors, numbers = _of_length_1(X), self.numbers(tasks)
        known, unknown = np.flatnonzero(numbers >= 0), np.flatnonzero(numbers < 0)
        blocks = [unknown[first : first + _AT_ONCE] for first in range(0, len(unknown), _AT_ONCE)]
        parts = [self._mixed(predict, vectors[rows]) for rows in blocks]
        if len(known):
            blocks.append(known)
            parts.append(predict(self._with(vectors[known], numbers[known])))
        back = np.argsort(np.concatenate(blocks))
        scores, usages = zip(*parts, strict=True)
        return np.concatenate(scores)[back], None if usages[0] is None else np.concatenate(usages)[back]

    def _with(self, vectors: FloatArray, numbers: IntArray) -> FloatArray:
        return np.hstack([vectors, _WEIGHT * np.eye(len(self.labels_))[numbers]])

    def _mixed(self, predict: Callable[[FloatArray], ScoreAndUsage], vectors: FloatArray) -> ScoreAndUsage:
        """The mean over the likely tasks of each prompt."""
        probabilities = self.prior_.probabilities(vectors)
        probabilities[probabilities < _NEGLIGIBLE * probabilities.max(axis=1, keepdims=True)] = 0.0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        rows, numbers = np.nonzero(probabilities)
        weights, starts = probabilities[rows, numbers][:, None], np.searchsorted(rows, np.arange(len(vectors)))
        score, usage = predict(self._with(vectors[rows], numbers))
        return np.add.reduceat(weights * score, starts), None if usage is None else np.add.reduceat(
            weights * usage, starts
        )


def _of_length_1(X: npt.ArrayLike) -> FloatArray:
    """The vectors as scikit-learn's `normalize` scales them, without its checks, which take longer than one prompt."""
    vectors = np.asarray(X, np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.where(length > 0.0, length, 1.0)
    return unit


def left_out(X: FloatArray, tasks: IntArray, score: FloatArray, folds: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Task probabilities (n, K) and the scores they imply (n, M), by fits that have not seen the prompt."""
    probabilities, estimate = np.zeros((len(X), int(tasks.max()) + 1)), np.empty(score.shape)
    for train, held_out in KFold(min(folds, len(X)), shuffle=True, random_state=seed).split(X):
        prior = TaskPrior().fit(X[train], tasks[train], score[train])
        fold_probabilities = prior.probabilities(X[held_out])
        probabilities[held_out, : fold_probabilities.shape[1]] = fold_probabilities
        estimate[held_out] = fold_probabilities @ prior.means_
    return probabilities, estimate


_WORDS = 2048
_TOPICS = 100
_FORM_WEIGHT = 0.5
_OPTION = re.compile(r"(?m)^\(?[A-Z][.)] ")
_SYMBOLS = frozenset("+-*/=^\\$<>{}()[]_|")


class TextFeatures:
    """Features besides a prompt's vector of length 1: topics of its words, and its form.

    Words are hashed into a fixed number of columns (so no vocabulary is stored), weighted by TF-IDF and reduced to
    topics by a truncated SVD of the training prompts. The form is 13 plain counts and shares (characters, words, answer
    options, digits, capitals, symbols, lines, …), standardised.

    Attributes
    ----------
    rarity_ : (2048,) float32
        Inverse document frequency of each hashed word.
    topics_ : (2048, t) float32
        From weighted words to topics, t at most 100.
    topic_mean_ : (t,) float32
        Mean that is subtracted from the topics.
    form_mean_, form_scale_ : (13,)
        Mean and scale by which the form is standardised.
    """

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn words, topics and the usual form from the training prompts."""
        counts = _counts(texts)
        idf = TfidfTransformer(sublinear_tf=True).fit(counts)
        self.rarity_ = idf.idf_.astype(np.float32)
        words = self._weighted(counts)
        _, _, directions = randomized_svd(words, min(_TOPICS, len(texts)), n_iter=2, random_state=0)
        self.topics_ = directions.T.astype(np.float32)
        self.topic_mean_ = np.asarray(words @ self.topics_).mean(axis=0)
        form = _form(texts)
        self.form_mean_, spread = form.mean(axis=0), form.std(axis=0)
        self.form_scale_ = np.where(spread > 0, spread, 1.0) * np.sqrt(form.shape[1]) / _FORM_WEIGHT
        return self

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """(n, t + 13) features of each prompt; a prompt's row depends only on its text."""
        topics = np.asarray(self._weighted(_counts(texts)) @ self.topics_) - self.topic_mean_
        return np.hstack([topics, (_form(texts) - self.form_mean_) / self.form_scale_])

    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        weighting = TfidfTransformer(sublinear_tf=True)
        weighting.idf_ = self.rarity_.astype(np.float64)
        weighted: csr_matrix = weighting.transform(counts)
        return weighted


def _counts(texts: Sequence[str]) -> csr_matrix:
    counts: csr_matrix = HashingVectorizer(n_features=_WORDS, alternate_sign=False, norm=None).transform(texts)
    return counts


def _form(texts: Sequence[str]) -> FloatArray:
    return np.array([_form_of(text) for text in texts], dtype=np.float64).reshape(len(texts), -1)


def _form_of(text: str) -> tuple[float, ...]:
    characters, words = len(text), len(text.split())
    options, symbols = len(_OPTION.findall(text)), sum(c in _SYMBOLS for c in text)
    digits, capitals = sum(c.isdigit() for c in text), sum(c.isupper() for c in text)
    foreign = sum(c > "\x7f" for c in text)
    per_character = np.array([digits, capitals, symbols, foreign]) / (characters + 1)
    logs = np.log1p([characters, words, options, digits, symbols, text.count("\n")])
    return (*logs, *per_character, options, text.count("?"), characters / (words + 1))
