"""What is followed closely ends with its worker, also when the database does not answer."""

from __future__ import annotations

import threading

import httpx
import pytest

from optimizer.wiring import fast_refresh as fast_refresher
from optimizer.wiring.build import get_services
from optimizer.wiring.fast_refresh import FastRefresher
from optimizer.wiring.periodic import PeriodicTask


def test_what_is_left_is_done_before_it_ends() -> None:
    done: list[str] = []
    watch = FastRefresher(
        [PeriodicTask("reading", 0, lambda: done.append("read"))],
        [PeriodicTask("last", 0, lambda: done.append("last"))],
    )
    watch.begin()
    watch.close()
    assert done[0] == "read"
    assert done[-1] == "last"


def test_whoever_hangs_does_not_keep_it_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_refresher, "_LAST_SECONDS", 0.05)
    begun, answered = threading.Event(), threading.Event()
    rounds: list[int] = []

    def read() -> None:
        rounds.append(1)
        if len(rounds) > 1:
            begun.set()
            answered.wait(60)

    watch = FastRefresher([PeriodicTask("reading", 0, read)], [], seconds=0.01)
    watch.begin()
    assert begun.wait(10)
    watch.close()
    assert not answered.is_set()
    answered.set()
    watch._thread.join(10)
    assert not watch._thread.is_alive()


async def test_services_that_run_are_not_begun_again(client: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        await get_services().start()
