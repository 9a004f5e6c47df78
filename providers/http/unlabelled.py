"""Streams of events that a server does not name so, or sends though nobody asked for a stream."""

from __future__ import annotations

import re

import httpx

# How a stream of events begins: with one of its fields, or with a comment.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")


def is_event_text(raw: bytes) -> bool:
    """Return whether a body is a stream of events by what it holds."""
    return _BEGINNING.match(raw) is not None


class ReadResponse:
    """A response whose body has been read, in the form in which a stream is read."""

    encoding = "utf-8"

    def __init__(self, headers: httpx.Headers, raw: bytes) -> None:
        self.headers = headers
        self.stream = httpx.ByteStream(raw)
