"""A provider that fails too large a part of its requests is left alone for a while."""

from __future__ import annotations

from contextlib import suppress

import pytest

from providers.circuits import Circuits
from providers.errors import (
    AuthenticationFailed,
    CircuitOpen,
    ConnectionFailed,
    ContentBlocked,
    EmptyCompletion,
    InsufficientCredit,
    MalformedResponse,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRejected,
)
from providers.request_circuits import RequestCircuits

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
    circuits: Circuits,
    prompt: int | None = None,
    caller: str = "",
    model: str = "",
    **outcomes: ProviderError | None,
) -> None:
    """One request that calls each provider, and delivers if the error is ``None``."""
    own = RequestCircuits(circuits, Prompts() if prompt is None else lambda: prompt, caller)
    try:
        for provider, error in outcomes.items():
            own.admit(provider, model)
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


def test_rate_limits_tell_nothing_of_health(circuits: Circuits, clock: Clock) -> None:
    error = RateLimited("a", "no")
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


def admitted(circuits: Circuits, caller: str, model: str = "") -> bool:
    try:
        request(circuits, caller=caller, model=model, a=None)
    except CircuitOpen:
        return False
    return True


def fail_as(circuits: Circuits, caller: str, times: int) -> None:
    for _ in range(times):
        with suppress(CircuitOpen):
            request(circuits, caller=caller, a=ProviderTimeout("a", "silent"))


def test_one_caller_s_failures_open_a_circuit_for_that_caller_alone(
    circuits: Circuits, clock: Clock
) -> None:
    fail_as(circuits, "mallory", 50)
    assert circuits.state("a") == "closed"
    assert (admitted(circuits, "mallory"), admitted(circuits, "ann")) == (False, True)
    clock.now += SECONDS + 1
    assert admitted(circuits, "mallory")  # as a probe, which closes it


def test_failures_of_several_callers_open_a_circuit_for_all(circuits: Circuits) -> None:
    for caller in ("ann", "bob", "cas"):
        fail_as(circuits, caller, 1)
    assert circuits.state("a") == "open"
    assert not admitted(circuits, "dan")


def test_a_caller_who_fails_seldom_does_not_help_another_to_open_a_circuit(
    circuits: Circuits,
) -> None:
    for caller in ("ann", "bob", "cas") * 5:
        assert admitted(circuits, caller)
    fail_as(circuits, "ann", 1)
    fail_as(circuits, "bob", 1)
    fail_as(circuits, "mallory", 50)
    assert circuits.state("a") == "closed"
    assert admitted(circuits, "ann")


def test_a_provider_that_cannot_be_reached_is_nobody_s_fault(circuits: Circuits) -> None:
    for _ in range(2):
        request(circuits, caller="ann", a=ConnectionFailed("a", "no"))
    assert circuits.state("a") == "open"


def test_a_failure_that_names_the_model_closes_the_door_of_the_model(circuits: Circuits) -> None:
    error = Overloaded("a", "busy")
    error.words = "The model is overloaded. Please try again later."
    for _ in range(2):
        request(circuits, model="large", a=error)
    assert (circuits.state("a"), circuits.state("a/large")) == ("closed", "open")
    assert (admitted(circuits, "", "large"), admitted(circuits, "", "small")) == (False, True)


@pytest.mark.parametrize("status", [AuthenticationFailed, InsufficientCredit])
def test_a_refused_key_closes_the_door_of_the_key(
    circuits: Circuits, clock: Clock, status: type[ProviderError]
) -> None:
    for _ in range(2):
        request(circuits, a=status("a", "no"))
    assert (circuits.state("a"), circuits.state("a#key")) == ("closed", "open")
    assert not works(circuits)
    clock.now += SECONDS + 1
    assert works(circuits)
    assert circuits.state("a#key") == "closed"


@pytest.mark.parametrize(
    "error", [EmptyCompletion("a", "no"), MalformedResponse("a", "no"), ContentBlocked("a", "no")]
)
def test_answers_of_no_use_are_no_failures_of_the_provider(
    circuits: Circuits, error: ProviderError
) -> None:
    for _ in range(9):
        request(circuits, a=error)
    assert circuits.state("a") == "closed"


def test_a_probe_has_little_time_and_more_after_each_that_fails(
    circuits: Circuits, clock: Clock
) -> None:
    fail(circuits)
    times = []
    for _ in range(3):
        clock.now += SECONDS + 1
        probe = RequestCircuits(circuits, Prompts())
        times.append(probe.admit("a"))
        probe.failed("a", ProviderTimeout("a", "silent"))
        probe.settle()
    assert times == [10.0, 20.0, 40.0]


def test_a_provider_that_failed_for_a_day_is_called_again(circuits: Circuits, clock: Clock) -> None:
    fail(circuits)
    for _ in range(24 * 60 * 2):
        clock.now += SECONDS + 1
        fail(circuits, 1)
    clock.now += SECONDS + 1
    probe = RequestCircuits(circuits, Prompts())
    assert probe.admit("a") == 640.0
    probe.settle()
    assert works(circuits)


def test_no_caller_s_failing_probes_keep_a_circuit_open_for_others(
    circuits: Circuits, clock: Clock
) -> None:
    fail_as(circuits, "ann", 2)
    fail_as(circuits, "mallory", 2)
    assert circuits.state("a") == "open"
    clock.now += SECONDS + 1
    fail_as(circuits, "mallory", 50)
    assert (admitted(circuits, "mallory"), admitted(circuits, "ann")) == (False, True)
    assert circuits.state("a") == "closed"


def test_failing_probes_of_two_callers_open_the_circuit_again(
    circuits: Circuits, clock: Clock
) -> None:
    fail_as(circuits, "ann", 2)
    fail_as(circuits, "bob", 2)
    clock.now += SECONDS + 1
    fail_as(circuits, "ann", 1)
    assert circuits.state("a") == "half_open"
    fail_as(circuits, "bob", 1)
    assert circuits.state("a") == "open"
    assert not admitted(circuits, "cas")


def test_a_probe_that_cannot_reach_the_provider_opens_the_circuit_again(
    circuits: Circuits, clock: Clock
) -> None:
    for _ in range(2):
        request(circuits, caller="ann", a=ConnectionFailed("a", "no"))
    clock.now += SECONDS + 1
    request(circuits, caller="ann", a=ConnectionFailed("a", "no"))
    assert circuits.state("a") == "open"
    assert not admitted(circuits, "bob")


@pytest.mark.parametrize("another", ["mallory", "ann"])
def test_a_probe_that_hangs_keeps_others_waiting_for_ten_seconds(
    circuits: Circuits, clock: Clock, another: str
) -> None:
    fail_as(circuits, "ann", 2)
    fail_as(circuits, "mallory", 2)
    clock.now += SECONDS + 1
    hanging = RequestCircuits(circuits, Prompts(), "mallory")
    hanging.admit("a")
    clock.now += 9
    assert (circuits.state("a"), admitted(circuits, another)) == ("open", False)
    clock.now += 2
    assert circuits.state("a") == "half_open"
    assert admitted(circuits, another)
    assert circuits.state("a") == "closed"
    # The end of the first probe tells nothing new.
    hanging.failed("a", ProviderTimeout("a", "silent"))
    hanging.settle()
    assert circuits.state("a") == "closed"


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
