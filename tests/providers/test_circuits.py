"""A provider that fails too large a part of its requests is left alone for a while."""

from __future__ import annotations

import pytest

from providers.circuits import Circuits, RequestCircuits
from providers.errors import (
    AuthenticationFailed,
    CircuitOpen,
    ConnectionFailed,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRejected,
)

SECONDS, WINDOW = 30.0, 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(failures=2, seconds=SECONDS, window=WINDOW, clock=clock)


class Prompts:
    """A new prompt each time."""

    number = 0

    def __call__(self) -> int:
        Prompts.number += 1
        return Prompts.number


def fail(circuits: Circuits, times: int = 2) -> None:
    for _ in range(times):
        request(circuits, a=Overloaded("a", "busy"))


def works(circuits: Circuits) -> bool:
    try:
        request(circuits, a=None)
    except CircuitOpen:
        return False
    return True


def request(
    circuits: Circuits, prompt: int | None = None, **outcomes: ProviderError | None
) -> None:
    """One request that calls each provider, and delivers if the error is ``None``."""
    own = RequestCircuits(circuits, Prompts() if prompt is None else lambda: prompt)
    try:
        for provider, error in outcomes.items():
            own.admit(provider)
            if error is None:
                own.delivered(provider)
            else:
                own.failed(provider, error)
    finally:
        own.settle()


def test_it_opens_by_failures_and_closes_by_a_probe(circuits: Circuits, clock: Clock) -> None:
    fail(circuits)
    assert (circuits.state("a"), works(circuits)) == ("open", False)
    clock.now += SECONDS + 1
    assert circuits.state("a") == "half_open"
    assert works(circuits)
    assert circuits.state("a") == "closed"


def test_a_few_failures_among_many_answers_open_nothing(circuits: Circuits) -> None:
    for _ in range(10):
        assert works(circuits)
    fail(circuits, 9)
    assert circuits.state("a") == "closed"
    fail(circuits, 1)
    assert circuits.state("a") == "open"


def test_failures_far_apart_open_nothing(circuits: Circuits, clock: Clock) -> None:
    for _ in range(10):
        fail(circuits, 1)
        clock.now += WINDOW + 1
    assert circuits.state("a") == "closed"


def test_a_request_counts_once_however_often_it_calls(circuits: Circuits) -> None:
    own = RequestCircuits(circuits, Prompts())
    for _ in range(5):
        own.admit("a")
        own.failed("a", Overloaded("a", "busy"))
    own.settle()
    assert circuits.state("a") == "closed"


def test_a_prompt_that_is_repeated_counts_once(circuits: Circuits) -> None:
    for _ in range(10):
        request(circuits, prompt=7, a=Overloaded("a", "busy"))
    assert circuits.state("a") == "closed"
    # A provider that cannot be reached has not seen the prompt.
    request(circuits, prompt=7, a=ConnectionFailed("a", "no"))
    assert circuits.state("a") == "open"


@pytest.mark.parametrize(
    "other", [Overloaded("b", "no"), ProviderTimeout("b", "no"), RequestRejected("b", "no")]
)
def test_a_failure_that_all_share_is_the_requests_own(
    circuits: Circuits, other: ProviderError
) -> None:
    for _ in range(5):
        request(circuits, a=Overloaded("a", "busy"), b=other)
    assert (circuits.state("a"), circuits.state("b")) == ("closed", "closed")


def test_a_failure_that_another_provider_does_not_share_counts(circuits: Circuits) -> None:
    for _ in range(2):
        request(circuits, a=Overloaded("a", "busy"), b=None)
    assert (circuits.state("a"), circuits.state("b")) == ("open", "closed")


@pytest.mark.parametrize("error", [AuthenticationFailed("a", "no"), RateLimited("a", "no")])
def test_keys_and_rate_limits_tell_nothing_of_health(
    circuits: Circuits, clock: Clock, error: ProviderError
) -> None:
    for _ in range(5):
        request(circuits, a=error)
    assert circuits.state("a") == "closed"
    fail(circuits)
    clock.now += SECONDS + 1
    request(circuits, a=error)
    assert circuits.state("a") == "half_open"


def test_one_call_at_a_time_is_a_probe(circuits: Circuits, clock: Clock) -> None:
    fail(circuits)
    clock.now += SECONDS + 1
    probe = RequestCircuits(circuits, Prompts())
    probe.admit("a")
    assert (circuits.state("a"), works(circuits)) == ("open", False)
    probe.admit("a")  # its retry is part of it
    probe.settle()  # it was cancelled, say
    assert circuits.state("a") == "half_open"
    assert works(circuits)


def test_a_stream_that_breaks_off_counts_as_a_failure(circuits: Circuits) -> None:
    for _ in range(2):
        own = RequestCircuits(circuits, Prompts())
        own.admit("a")
        own.delivered("a")
        own.settle()
        own.broke_off("a", Overloaded("a", "busy"))
    assert circuits.state("a") == "open"


async def test_what_opens_and_closes_is_told_and_what_others_found_is_not(
    circuits: Circuits, clock: Clock
) -> None:
    told: list[tuple[str, float]] = []
    circuits.on_change(lambda provider, seconds: told.append((provider, seconds)))
    fail(circuits)
    clock.now += SECONDS + 1
    works(circuits)
    assert told == [("a", SECONDS), ("a", 0.0)]
    await circuits.adopt("a", 10)
    await circuits.adopt("a", 0)
    assert works(circuits)
    assert len(told) == 2


async def test_what_others_found_holds_for_as_long_as_they_say(
    circuits: Circuits, clock: Clock
) -> None:
    await circuits.adopt("a", 10)
    assert (circuits.state("a"), works(circuits)) == ("open", False)
    clock.now += 11
    assert circuits.state("a") == "half_open"
    fail(circuits, 1)
    assert circuits.state("a") == "open"
    await circuits.adopt("a", 0)
    assert (circuits.state("a"), works(circuits)) == ("closed", True)
