"""A model that limits its rate is spared for as long as it says."""

from __future__ import annotations

import pytest

from providers.cooldowns import Cooldowns
from tests.providers.test_circuits import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cooldowns(clock: Clock) -> Cooldowns:
    return Cooldowns(clock)


def test_a_model_is_spared_for_as_long_as_it_said(cooldowns: Cooldowns, clock: Clock) -> None:
    cooldowns.limited("a", "m", 17)
    assert (cooldowns.remaining("a", "m"), cooldowns.all()) == (17, {("a", "m"): 17})
    assert cooldowns.remaining("a", "other") == cooldowns.remaining("b", "m") == 0
    clock.now += 17
    assert (cooldowns.remaining("a", "m"), cooldowns.all()) == (0, {})


def test_what_was_said_last_holds_and_a_guess_does_not_shorten_it(cooldowns: Cooldowns) -> None:
    cooldowns.limited("a", "m", 30)
    cooldowns.limited("a", "m", None)
    assert cooldowns.remaining("a", "m") == 30
    cooldowns.limited("a", "m", 2.5)
    assert cooldowns.remaining("a", "m") == 2.5
    cooldowns.answered("a", "m")
    assert cooldowns.remaining("a", "m") == 0


def test_without_a_word_the_wait_grows_until_it_answers(cooldowns: Cooldowns, clock: Clock) -> None:
    waits = []
    for _ in range(7):
        cooldowns.limited("a", "m", None)
        waits.append(cooldowns.remaining("a", "m"))
        clock.now += 100
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    cooldowns.answered("a", "m")
    cooldowns.limited("a", "m", None)
    assert cooldowns.remaining("a", "m") == 1


def test_only_a_long_known_wait_makes_calls_useless_and_it_is_asked_anew_each_minute(
    cooldowns: Cooldowns, clock: Clock
) -> None:
    cooldowns.limited("a", "short", 45)
    cooldowns.limited("a", "long", 3600)
    assert cooldowns.refused_for("a", "short") is None
    assert cooldowns.refused_for("a", "long") == 3600
    clock.now += 61
    assert cooldowns.refused_for("a", "long") is None
