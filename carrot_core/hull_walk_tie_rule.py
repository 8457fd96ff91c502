"""Compiled walks down the hulls of many prompts at once, and the order of their switches by rate.

For one prompt the rule ``argmax ŝ - r·ĉ`` walks down the upper-left hull of its points (ĉ, ŝ) as r grows. Prompts walk
side by side, a step of all at a time and without branches, so that one instruction divides for several of them.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

# Rate, prompt, model left and model taken of each switch.
Switches = tuple[npt.NDArray[np.float64], npt.NDArray[np.int32], npt.NDArray[np.int16], npt.NDArray[np.int16]]
_LANES = 64  # prompts walked side by side
_DIGIT, _DIGITS = 11, 3  # bits of a rate's 32-bit short form sorted in one pass, and passes
_FEW = 32  # up to so many rates with the same short form are sorted by insertion
# Rates that differ by less than this share count as equal: equal switches differ by rounding in the last bits, and a
# rate converted to λ and back changes by about as much.
_SAME_RATE = 1e-12


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _best_at_zero(score, cost, by_name, chosen, its_score, its_cost):  # type: ignore[no-untyped-def]
    """Most accurate model of each lane; ties: the cheapest, then the first by name."""
    for lane in range(_LANES):
        chosen[lane], its_score[lane], its_cost[lane] = by_name[0], -np.inf, np.inf
    for j in by_name:
        for lane in range(_LANES):
            s, c = score[j, lane], cost[j, lane]
            better = (s > its_score[lane]) | ((s == its_score[lane]) & (c < its_cost[lane]))
            chosen[lane] = j if better else chosen[lane]
            its_score[lane] = s if better else its_score[lane]
            its_cost[lane] = c if better else its_cost[lane]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _next_on_hull(score, cost, by_name, score_now, cost_now, next_model, rate, its_score, its_cost):  # type: ignore[no-untyped-def]
    """For each lane, write the cheaper model reached first as the rate grows, with its rate, score and cost.

    A lane at its cheapest model gets -1 and keeps its score and cost. Equal rates: the cheapest, since the ones between
    never win on their own, then the most accurate, then the first by name. Returns whether any lane took a step.
    """
    for lane in range(_LANES):
        next_model[lane], rate[lane], its_score[lane], its_cost[lane] = -1, np.inf, -np.inf, np.inf
    for j in by_name:
        for lane in range(_LANES):
            s, c = score[j, lane], cost[j, lane]
            saved = cost_now[lane] - c
            r = (score_now[lane] - s) / saved
            cheaper = (c < its_cost[lane]) | ((c == its_cost[lane]) & (s > its_score[lane]))
            better = (saved > 0.0) & ((r < rate[lane]) | ((r == rate[lane]) & cheaper))
            next_model[lane] = j if better else next_model[lane]
            rate[lane] = r if better else rate[lane]
            its_score[lane] = s if better else its_score[lane]
            its_cost[lane] = c if better else its_cost[lane]
    some = False
    for lane in range(_LANES):
        at_end = next_model[lane] < 0
        some |= not at_end
        its_score[lane] = score_now[lane] if at_end else its_score[lane]
        its_cost[lane] = cost_now[lane] if at_end else its_cost[lane]
    return some


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _walk(est_score, est_cost, by_name, first_prompt, start, own_rate, prompt, source, target):  # type: ignore[no-untyped-def]
    n, m = est_score.shape
    score, cost = np.full((m, _LANES), -np.inf), np.full((m, _LANES), np.inf)
    rate, next_model = np.empty((m, _LANES)), np.empty((m, _LANES), np.int64)
    score_now, cost_now, score_next, cost_next = np.empty(_LANES), np.empty(_LANES), np.empty(_LANES), np.empty(_LANES)
    at = 0
    for first in range(0, n, _LANES):
        size = min(_LANES, n - first)
        for lane in range(size):
            for j in range(m):
                s, c = np.float64(est_score[first + lane, j]), np.float64(est_cost[first + lane, j])
                known = not (np.isnan(s) or np.isnan(c))
                score[j, lane], cost[j, lane] = s if known else -np.inf, c if known else np.inf
        _best_at_zero(score, cost, by_name, next_model[0], score_now, cost_now)
        for lane in range(size):
            start[first + lane] = next_model[0, lane]
        steps = 0
        while _next_on_hull(
            score, cost, by_name, score_now, cost_now, next_model[steps], rate[steps], score_next, cost_next
        ):
            score_now, score_next, cost_now, cost_next = score_next, score_now, cost_next, cost_now
            steps += 1
        for lane in range(size):
            begun, leaves = at, start[first + lane]
            for k in range(steps):
                takes = next_model[k, lane]
                if takes < 0:
                    break
                if at > begun and rate[k, lane] <= own_rate[at - 1]:  # rounding bent the hull back by an ulp:
                    target[at - 1] = takes  # one switch, not two
                else:
                    own_rate[at], prompt[at] = rate[k, lane], first_prompt + first + lane
                    source[at], target[at] = leaves, takes
                    at += 1
                leaves = takes
    return at


def walk(
    est_score: npt.NDArray[np.floating],
    est_cost: npt.NDArray[np.floating],
    by_name: npt.NDArray[np.intp],
    first_prompt: int,
    start: npt.NDArray[np.int16],
) -> Switches:
    """Switches of (n, M) prompts, one prompt after the other, numbered from ``first_prompt``; fills the (n,) ``start``.

    ``by_name`` has the columns in the order that decides full ties. A model without estimates (NaN) is never chosen.
    """
    n, m = est_score.shape
    room = n * max(m - 1, 1)
    rate, prompt = np.empty(room), np.empty(room, np.int32)
    source, target = np.empty(room, np.int16), np.empty(room, np.int16)
    end = _walk(est_score, est_cost, by_name, first_prompt, start, rate, prompt, source, target)
    return rate[:end].copy(), prompt[:end].copy(), source[:end].copy(), target[:end].copy()


@numba.njit(cache=True, nogil=True)
def _by_rate(rate):  # type: ignore[no-untyped-def]
    # The high 32 bits of a word hold a rate rounded to 32 bits, which never reverses the order of two rates; the low
    # ones hold its position. Rates equal in 32 bits are then sorted by all their bits.
    words, others = np.empty(rate.size, np.uint64), np.empty(rate.size, np.uint64)
    ends = np.zeros((_DIGITS, 1 << _DIGIT), np.int64)
    mask, low = np.uint64((1 << _DIGIT) - 1), np.uint64(0xFFFFFFFF)
    short = np.empty(1, np.float32)
    bits = short.view(np.uint32)
    for e in range(rate.size):
        short[0] = rate[e]
        words[e] = (np.uint64(bits[0]) << np.uint64(32)) | np.uint64(e)
        for digit in range(_DIGITS):
            ends[digit, (words[e] >> np.uint64(32 + digit * _DIGIT)) & mask] += 1
    for digit in range(_DIGITS):
        before = 0
        for value in range(1 << _DIGIT):
            before, ends[digit, value] = before + ends[digit, value], before
        for word in words:
            value = (word >> np.uint64(32 + digit * _DIGIT)) & mask
            others[ends[digit, value]] = word
            ends[digit, value] += 1
        words, others = others, words
    first = 0
    for e in range(1, rate.size + 1):
        if e == rate.size or (words[e] | low) != (words[first] | low):
            if e - first > _FEW:
                own = np.empty(e - first)
                for k in range(first, e):
                    own[k - first] = rate[words[k] & low]
                words[first:e] = words[first:e][np.argsort(own, kind="mergesort")]
            else:
                for k in range(first + 1, e):
                    word, own_rate = words[k], rate[words[k] & low]
                    while k > first and rate[words[k - 1] & low] > own_rate:
                        words[k] = words[k - 1]
                        k -= 1
                    words[k] = word
            first = e
    ascending, order = others.view(np.float64), np.empty(rate.size, np.int32)
    for e in range(rate.size):
        order[e] = words[e] & low
        ascending[e] = rate[words[e] & low]
    lower = shared = 0.0
    for e in range(rate.size):
        own = ascending[e]
        shared = own if e == 0 or own > lower * (1 + _SAME_RATE) else shared
        lower, ascending[e] = own, shared
    return ascending, order


def by_rate(rate: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Sort rates of at least 0: the ascending rates, and the stable order that sorts them.

    A radix sort. Rates that differ only by rounding are set to the first of them.
    """
    ascending, order = _by_rate(rate)
    return ascending, order
