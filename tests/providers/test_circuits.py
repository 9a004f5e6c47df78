"""A provider that failed too often is left alone for a while."""

from __future__ import annotations

import time

import pytest

from providers.circuits import Circuits
from providers.errors import CircuitOpen, Overloaded

SECONDS = 30.0


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(failures=2, seconds=SECONDS)


async def fail(circuits: Circuits, times: int = 2) -> None:
    for _ in range(times):
        with pytest.raises(Overloaded):
            async with await circuits.guard("a"):
                raise Overloaded("a", "busy")


async def works(circuits: Circuits) -> bool:
    try:
        async with await circuits.guard("a"):
            return True
    except CircuitOpen:
        return False


async def test_it_opens_by_failures_and_closes_by_a_probe(circuits: Circuits, clock: Clock) -> None:
    await fail(circuits)
    assert (circuits.state("a"), await works(circuits)) == ("open", False)
    clock.now += SECONDS + 1
    assert circuits.state("a") == "half_open"
    assert await works(circuits)
    assert circuits.state("a") == "closed"


async def test_a_clock_set_back_leaves_it_alone_no_longer(circuits: Circuits, clock: Clock) -> None:
    await fail(circuits)
    clock.now -= 3600
    assert not await works(circuits)
    clock.now += SECONDS + 1
    assert circuits.state("a") == "half_open"
    assert await works(circuits)


async def test_what_opens_and_closes_is_told_and_what_others_found_is_not(
    circuits: Circuits, clock: Clock
) -> None:
    told: list[tuple[str, float]] = []
    circuits.on_change(lambda provider, seconds: told.append((provider, seconds)))
    await fail(circuits)
    clock.now += SECONDS + 1
    await works(circuits)
    assert told == [("a", SECONDS), ("a", 0.0)]
    await circuits.adopt("a", 10)
    await circuits.adopt("a", 0)
    assert await works(circuits)
    assert len(told) == 2


async def test_what_others_found_holds_for_as_long_as_they_say(
    circuits: Circuits, clock: Clock
) -> None:
    await circuits.adopt("a", 10)
    assert (circuits.state("a"), await works(circuits)) == ("open", False)
    clock.now += 11
    assert circuits.state("a") == "half_open"
    await fail(circuits, 1)
    assert circuits.state("a") == "open"
    await circuits.adopt("a", 0)
    assert (circuits.state("a"), await works(circuits)) == ("closed", True)
