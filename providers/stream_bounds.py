"""How much of a stream may be kept: before its first content, and of a whole answer."""

from __future__ import annotations

from providers.errors import MalformedResponse
from providers.events import (
    Event,
    KeepAlive,
    OpaqueBlock,
    Relayed,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
)

MOST_BEFORE_CONTENT = 16 * 1024 * 1024
MOST_OF_AN_ANSWER = 64 * 1024 * 1024
"""As much as of an answer that comes whole. Bytes, roughly: see :func:`weight`."""

_OBJECT = 1024
_LOGPROBS = 2048


def weight(event: Event) -> int:
    """Return about how many bytes it takes to keep ``event`` as it is."""
    return _OBJECT + len(getattr(event, "text", ""))


class AnswerBound:
    """Adds up what stays of a stream in the completion that is built from it."""

    __slots__ = ("_left", "_provider")

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._left = MOST_OF_AN_ANSWER

    def add(self, event: Event) -> None:
        """Count ``event``. Raises :class:`providers.errors.MalformedResponse` if it is too much.

        Messages that are passed on are not kept, and pieces of text are joined.
        """
        if isinstance(event, (Relayed, KeepAlive)):
            return
        self._left -= len(getattr(event, "text", ""))
        if isinstance(event, TextDelta):
            if event.logprobs:
                self._left -= _LOGPROBS * len(event.logprobs)
        elif isinstance(event, ThinkingDelta):
            self._left -= len(event.signature) + len(event.redacted)
            if event.details is not None:
                self._left -= _OBJECT + len(str(event.details))
        elif isinstance(event, OpaqueBlock):
            self._left -= _OBJECT + len(str(event.value))
        elif isinstance(event, ToolCallStarted):
            self._left -= _OBJECT
        if self._left < 0:
            raise MalformedResponse(
                self._provider, f"sent an answer of more than {MOST_OF_AN_ANSWER} bytes"
            )
