"""What is done for a client ends once the client has left, told by its connection."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from optimizer.server.departures import Departure, DisconnectWatcher
from tests.patience import PATIENCE


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def served(scope: dict[str, Any], ended: list[str]) -> None:
    with DisconnectWatcher(scope, never):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
    ended.append("after")


@pytest.mark.parametrize("before", [True, False])
async def test_a_request_ends_when_its_connection_is_lost_before_it_or_after(before: bool) -> None:
    departure, ended = Departure(), list[str]()
    if before:
        departure.note()
    task = asyncio.create_task(served({"optimizer.departure": departure}, ended))
    await asyncio.sleep(0)
    if not before:
        departure.note()
    await asyncio.wait_for(task, PATIENCE)
    assert ended == ["cancelled", "after"]
    assert not task.cancelled()


async def test_one_that_has_ended_is_not_told() -> None:
    departure = Departure()
    with DisconnectWatcher({"optimizer.departure": departure}, never):
        pass
    departure.note()
    await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_is_passed_on() -> None:
    ended = list[str]()
    task = asyncio.create_task(served({"optimizer.departure": Departure()}, ended))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    assert ended == ["cancelled"]


async def test_under_another_server_the_message_tells() -> None:
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def waiting() -> str:
        with DisconnectWatcher({}, receive):
            await asyncio.Event().wait()
        return "ended"

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    left.set()
    assert await asyncio.wait_for(task, PATIENCE) == "ended"


def test_a_worker_imports_the_protocol_before_django_is_set_up() -> None:
    command = [sys.executable, "-c", "import optimizer.server.departures"]
    assert subprocess.run(command, check=False, timeout=PATIENCE * 6).returncode == 0
