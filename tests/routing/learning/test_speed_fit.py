"""How fast a model answers, from the times of its answers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.answer_speed import TimedAnswer
from routing.learning.speed_fit import FEWEST_ANSWERS, fit_speed

answers = st.builds(
    TimedAnswer,
    tokens=st.integers(1, 100_000),
    seconds=st.floats(0.001, 600),
    first=st.none() | st.floats(0, 1),
    reasoning=st.just(0),
)


def made(first: float, per_token: float, *, streamed: bool, reasoning: int = 0) -> list:
    rng = random.Random(1)
    made = []
    for _ in range(100):
        tokens = reasoning + rng.randint(20, 800)
        seconds = (first + per_token * tokens) * rng.uniform(0.9, 1.1)
        begun = (first + per_token * reasoning) * rng.uniform(0.9, 1.1) if streamed else None
        made.append(TimedAnswer(tokens, seconds, begun, reasoning))
    return made


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("reasoning", [0, 500])
def test_both_figures_come_out_again(streamed, reasoning) -> None:
    speed = fit_speed(made(0.8, 0.02, streamed=streamed, reasoning=reasoning))
    assert speed.per_token == pytest.approx(0.02, rel=0.15)
    assert speed.seconds(reasoning + 400) == pytest.approx(0.8 + 0.02 * (reasoning + 400), rel=0.1)


def test_calls_that_hang_move_nothing() -> None:
    usual = made(0.8, 0.02, streamed=False)
    hung = [a._replace(seconds=a.seconds + 300) for a in usual[:20]] + usual[20:]
    assert fit_speed(hung).seconds(400) == pytest.approx(fit_speed(usual).seconds(400), rel=0.15)


def test_answers_of_one_length_tell_that_length_s_time() -> None:
    speed = fit_speed([TimedAnswer(100, 2.0)] * FEWEST_ANSWERS)
    assert speed.seconds(100) == pytest.approx(2.0)


def test_few_answers_tell_nothing() -> None:
    assert fit_speed([TimedAnswer(100, 2.0)] * (FEWEST_ANSWERS - 1)) is None


@given(st.lists(answers, min_size=FEWEST_ANSWERS, max_size=60), st.integers(0, 10_000))
def test_no_answer_takes_less_than_nothing_and_a_longer_one_no_less(timed, tokens) -> None:
    speed = fit_speed(timed)
    assert min(speed) >= 0
    assert speed.seconds(tokens + 1) >= speed.seconds(tokens)
