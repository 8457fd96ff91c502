"""Seeded choices for the templates, and what a template gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draw:
    """Uniform choices from one numpy generator, so that a seed fixes every text."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both possible."""
        return int(self._rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Distinct options in random order."""
        return [options[index] for index in self._rng.permutation(len(options))[:count]]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        return self.sample(options, len(options))

    def date(self, months: Sequence[str]) -> str:
        return f"{self.number(1, 28)} {self.pick(months)}"

    def price(self, low: int, high: int) -> str:
        """Dollars and cents, or whole dollars."""
        dollars = self.number(low, high)
        return f"${dollars}.{self.pick((25, 40, 50, 75, 80, 95))}" if self.chance(0.6) else f"${dollars}"


@dataclass(frozen=True)
class Text:
    """What a template makes: the prompt, the topic models may be strong or weak in, and how much harder
    (in standard deviations of difficulty) the topic makes it."""

    text: str
    topic: str = ""
    harder: float = 0.0


# From a source of choices and a level, 0 (easy) to 4 (hard), to a text in which the level can be seen:
# more steps, more people, larger numbers, longer material, more constraints.
Template = Callable[[Draw, int], Text]
HARDEST = 4


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def joined(*sentences: str) -> str:
    """One paragraph of the sentences that are not empty."""
    return " ".join(sentence for sentence in sentences if sentence)
