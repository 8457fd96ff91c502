"""Features of a prompt that sentence encoders tend to lose: its words, length and form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.utils.extmath import randomized_svd

FloatArray = npt.NDArray[np.float64]

_WORDS = 2048
_TOPICS = 100
_FORM_WEIGHT = 0.5
_OPTION = re.compile(r"(?m)^\(?[A-Z][.)] ")
_SYMBOLS = frozenset("+-*/=^\\$<>{}()[]_|")


class TextFeatures:
    """Features to use beside a prompt's vector of length 1: topics of its words, and its form.

    Words are hashed into a fixed number of columns, so no vocabulary is kept, weighted by TF-IDF and
    brought down to topics by a truncated SVD of the training prompts. The form is 13 plain counts and
    shares (characters, words, answer options, digits, capitals, symbols, lines, …), standardised.

    Attributes
    ----------
    rarity_ : (2048,) float32
        Inverse document frequency of each hashed word.
    topics_ : (2048, t) float32
        From weighted words to topics, t at most 100.
    topic_mean_ : (t,) float32
        What is subtracted from the topics.
    form_mean_, form_scale_ : (13,)
        What the form is standardised with.
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
