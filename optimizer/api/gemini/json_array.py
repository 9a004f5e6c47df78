"""Sends a stream as one JSON array, element by element, as Gemini does without ``alt=sse``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from optimizer.api.http.endpoint import StreamReply

_PREFIX = b"data: "


def as_array(reply: StreamReply) -> StreamReply:
    """Return the reply whose server-sent events are the elements of one array."""
    headers = {**reply.headers, "Content-Type": "application/json; charset=utf-8"}
    return replace(reply, source=_elements(reply.source), headers=headers)


async def _elements(source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    separator = b"["
    async with aclosing(source) as chunks:
        async for chunk in chunks:
            # Every chunk holds whole events.
            for event in chunk.split(b"\n\n"):
                lines = [line for line in event.split(b"\n") if line.startswith(_PREFIX)]
                if lines:
                    text = b"\n".join(line.removeprefix(_PREFIX) for line in lines)
                    yield separator + text
                    separator = b",\r\n"
            if chunk and not chunk.strip():
                # White space between two elements keeps the connection alive.
                yield b"\n"
    yield b"]" if separator != b"[" else b"[]"
