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
    # Proxies must forward each event at once.
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


def sse(data: Mapping[str, Any], event: str = "", event_id: str = "") -> bytes:
    """Return one event; a client that reconnects sends the last ``event_id`` it received."""
    head = f"id: {event_id}\n" if event_id else ""
    if event:
        head += f"event: {event}\n"
    return b"%bdata: %b\n\n" % (head.encode(), as_json(data))


def sse_text(data: str, event: str = "") -> bytes:
    """Return one event whose ``data`` is text; each line of it gets a line of its own."""
    head = f"event: {event}\n" if event else ""
    lines = f"data: {data}" if "\n" not in data else "data: " + data.replace("\n", "\ndata: ")
    return f"{head}{lines}\n\n".encode()


class EventStream(StreamingHttpResponse):
    """A response of server-sent events. At its end it closes the source and calls ``leave``."""

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
        """Close the response, also one that was never read; another thread may call this."""
        super().close()
        self._loop.call_soon_threadsafe(self._leave)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:  # type: ignore[override]
        async with aclosing(self._source) as events:
            async for event in events:
                yield event
