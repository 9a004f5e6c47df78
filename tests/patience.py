"""How long a test waits for what must happen: machines stall, and that is not what is tested."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from django.db import connections

PATIENCE = 90.0
"""Seconds. Only a failure takes as long."""


async def eventually(found: Callable[[], Any | Awaitable[Any]]) -> Any:
    """The first true answer of ``found``, waited for."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = found()
            if isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


async def on_a_thread(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What ``work`` returns on a thread, whose database connections are closed at its end."""

    def run() -> Any:
        try:
            return work(*args, **options)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)
