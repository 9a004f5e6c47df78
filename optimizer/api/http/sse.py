"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

from optimizer.api.http.json_out import as_json

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # Proxies must hand each event on as it comes.
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


def sse(data: Mapping[str, Any], event: str = "", event_id: str = "") -> bytes:
    """One event; with ``event_id`` a client that connects again says where it was."""
    head = f"id: {event_id}\n" if event_id else ""
    if event:
        head += f"event: {event}\n"
    return b"%bdata: %b\n\n" % (head.encode(), as_json(data))


class EventStream(StreamingHttpResponse):
    """Server-sent events. However it ends, the source is closed and ``leave`` called."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        leave: Callable[[], None],
        headers: dict[str, str],
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        self._source = source
        self.streaming_content = source
        self._leave = leave
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Called from another thread, and also if nobody ever began to read."""
        super().close()
        self._loop.call_soon_threadsafe(self._leave)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:  # type: ignore[override]
        async with aclosing(self._source) as events:
            async for event in events:
                yield event
