"""A prompt cache is kept only where the next turn is expected to save more than that costs.

Lifetimes and prices: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.cache_keeping import HOUR, LIFETIME, PERIOD, READ, WRITE, Gaps, hour_pays, keeping_gain

SAVING = WRITE - READ
GAPS = st.lists(st.floats(0, 7200), min_size=1, max_size=80)


def test_few_gaps_say_nothing() -> None:
    assert keeping_gain(Gaps([400.0] * 29), PERIOD, SAVING, READ) == 0
    assert keeping_gain(Gaps([400.0] * 30), PERIOD, SAVING, READ) > 0


def test_a_turn_that_comes_soon_after_pays_for_one_reading() -> None:
    gaps = Gaps([400.0] * 40)
    assert keeping_gain(gaps, PERIOD, SAVING, READ) == pytest.approx(SAVING - READ)


def test_a_far_turn_pays_for_the_readings_until_then_or_for_none() -> None:
    gaps = Gaps([1500.0] * 40)  # five readings, the last one at 1350 seconds
    assert keeping_gain(gaps, PERIOD, SAVING, READ) == pytest.approx(SAVING - 5 * READ)
    assert keeping_gain(gaps, PERIOD, SAVING, 0.3) == 0


def test_sessions_that_end_are_not_kept() -> None:
    assert keeping_gain(Gaps([400.0] * 2, ended=100), PERIOD, SAVING, READ) == 0
    assert keeping_gain(Gaps([400.0] * 20, ended=100), PERIOD, SAVING, READ) > 0


@given(GAPS, st.integers(0, 40), st.floats(0, HOUR), st.floats(0.01, 2))
def test_the_gain_is_that_of_the_best_plan(
    seconds: list[float], ended: int, waited: float, price: float
) -> None:
    gaps = Gaps([*seconds, *[1.0] * 30], ended)
    waiting = [s for s in seconds if s > waited] + [float("inf")] * ended
    if waited < 1:
        waiting += [1.0] * 30
    best = 0.0
    for readings in range(1, 14):
        if waited + (readings - 1) * PERIOD > HOUR or not waiting:
            break
        end = waited + readings * PERIOD
        saved = sum(SAVING for s in waiting if s <= end)
        paid = sum(price for s in waiting for n in range(readings) if s > waited + n * PERIOD)
        best = max(best, (saved - paid) / len(waiting))
    assert keeping_gain(gaps, waited, SAVING, price) == pytest.approx(best)


@given(GAPS, st.integers(0, 100))
def test_a_dearer_reading_never_gains_more(seconds: list[float], ended: int) -> None:
    gaps = Gaps([*seconds, *[1.0] * 30], ended)
    gains = [keeping_gain(gaps, PERIOD, SAVING, price) for price in (0.05, 0.1, 0.5, 2.0)]
    assert gains == sorted(gains, reverse=True)


class TestHours:
    def test_long_breaks_are_for_an_hour(self) -> None:
        breaks = Gaps([5.0] * 60 + [3000.0] * 40)
        assert hour_pays(breaks, written=0.1)

    def test_short_breaks_are_cheaper_with_readings(self) -> None:
        assert not hour_pays(Gaps([5.0] * 90 + [LIFETIME + 10] * 10), written=0.2)

    def test_what_is_never_read_again_is_not_written_for_an_hour(self) -> None:
        assert not hour_pays(Gaps([5.0] * 100), written=0.1)
        assert not hour_pays(Gaps([5.0] * 60 + [9000.0] * 40), written=0.1)

    def test_much_new_text_makes_hours_dear(self) -> None:
        breaks = Gaps([5.0] * 60 + [3000.0] * 40)
        assert not hour_pays(breaks, written=1.0)
