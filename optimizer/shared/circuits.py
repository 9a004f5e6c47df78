"""Circuits shared by workers: a circuit that opens on one of them opens on all.

Workers share the remaining seconds, not points in time, because machines' clocks differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from optimizer.shared.redis import in_time
from optimizer.shared.shared_state import SharedState
from providers.circuits import Circuits
from providers.request_circuits import key_circuit

_KEY = "optimizer:circuit:"


class SharedCircuits(SharedState):
    """Shares circuits over Redis; without it, each worker only uses its own."""

    def __init__(self, circuits: Circuits, providers: Iterable[str], redis_url: str = "") -> None:
        # Whoever begins to listen adopts the circuits that are open already.
        super().__init__(redis_url, "circuits", "Circuits are this worker's own", self._adopt_open)
        self._circuits = circuits
        self._providers = providers
        if self._channel is not None:
            circuits.on_change(self._share_later)

    def _adopt(self, change: dict[str, Any]) -> None:
        self._background.run(self._circuits.adopt(change["provider"], change["seconds"]))

    def _share_later(self, provider: str, seconds: float) -> None:
        # In the background, so that the client of the failed call does not wait for Redis.
        self._background.run(self._share(provider, seconds))

    async def _share(self, provider: str, seconds: float) -> None:
        assert self._channel is not None
        key = _KEY + provider
        try:
            if seconds:
                await in_time(self._channel.redis.set(key, "open", px=max(1, int(seconds * 1000))))
            else:
                await in_time(self._channel.redis.delete(key))
        except self._channel.errors as error:
            self._channel.log_unreachable(error)
        else:
            await self._channel.publish({"provider": provider, "seconds": seconds})

    async def _adopt_open(self) -> None:
        """Adopt the circuits that opened while this worker did not listen."""
        assert self._channel is not None
        names = [name for one in self._providers for name in (one, key_circuit(one))]
        queries = (self._channel.redis.pttl(_KEY + name) for name in names)
        remaining = await in_time(asyncio.gather(*queries))
        for name, milliseconds in zip(names, remaining, strict=True):
            if milliseconds > 0 and self._circuits.state(name) == "closed":
                await self._circuits.adopt(name, milliseconds / 1000)
