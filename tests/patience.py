"""How long a test waits for what must happen: machines stall, and that is not what is tested."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

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
