"""Circuits between workers: a provider that one of them leaves alone, all leave alone.

Seconds that are left are shared, not moments: machines' clocks differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from optimizer.shared.redis import in_time
from optimizer.shared.redis_channel import Channel
from optimizer.shared.tasks import Background
from providers.circuits import Circuits

_KEY = "optimizer:circuit:"


class SharedCircuits:
    """Without ``redis_url``, or while Redis is away, each worker learns by itself."""

    def __init__(self, circuits: Circuits, providers: Iterable[str], redis_url: str = "") -> None:
        self._circuits = circuits
        self._providers = tuple(providers)
        self._telling = Background()
        self._channel: Channel | None = None
        if redis_url:
            self._channel = Channel(
                redis_url,
                "circuits",
                lambda told: self._telling.run(circuits.adopt(told["provider"], told["seconds"])),
                "Circuits are this worker's own",
                self._adopt_open,
            )
            circuits.on_change(self._tell)

    def begin(self) -> None:
        """Adopt what others have found, and listen from now on."""
        if self._channel is not None:
            self._channel.listen()

    async def aclose(self) -> None:
        await self._telling.drain()
        if self._channel is not None:
            await self._channel.aclose()

    def _tell(self, provider: str, seconds: float) -> None:
        # Beside the call that found it: whoever waits for an answer does not wait for this.
        self._telling.run(self._share(provider, seconds))

    async def _share(self, provider: str, seconds: float) -> None:
        assert self._channel is not None
        key = _KEY + provider
        try:
            if seconds:
                await in_time(self._channel.redis.set(key, "open", px=max(1, int(seconds * 1000))))
            else:
                await in_time(self._channel.redis.delete(key))
        except self._channel.trouble as error:
            self._channel.say_away(error)
        else:
            await self._channel.say({"provider": provider, "seconds": seconds})

    async def _adopt_open(self) -> None:
        """What was said while this worker did not listen, or was not there."""
        assert self._channel is not None
        asked = (self._channel.redis.pttl(_KEY + name) for name in self._providers)
        left = await in_time(asyncio.gather(*asked))
        for provider, milliseconds in zip(self._providers, left, strict=True):
            if milliseconds > 0 and self._circuits.state(provider) == "closed":
                await self._circuits.adopt(provider, milliseconds / 1000)
