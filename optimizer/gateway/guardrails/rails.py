"""What a guard rail is: one object a process, which makes a check for each call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from providers.chat import Chat
from providers.completion import Completion
from providers.events import Event

Outcome = Literal["passed", "changed", "refused"]


class RailError(Exception):
    """A rail cannot say whether something may pass; the message holds nothing of a prompt."""


@dataclass(frozen=True, slots=True)
class RailFinding:
    """What a rail says of a request or an answer; ``detail`` names no part of either.

    ``calls`` is the "provider/model" that it asked, "" for none.
    """

    outcome: Outcome = "passed"
    detail: str = ""
    calls: str = ""


class RailCall(Protocol):
    """A rail at work for one call of a model."""

    async def check_input(self, chat: Chat) -> tuple[Chat, RailFinding]:
        """Return the chat that is to be sent, and what is found. Raises :class:`RailError`."""
        ...

    async def check_body(
        self, body: Mapping[str, Any], residency: frozenset[str]
    ) -> tuple[Mapping[str, Any], RailFinding]:
        """Return the same for a body that is no chat. Raises :class:`RailError`."""
        ...

    async def check_output(self, answer: Completion, chat: Chat) -> RailFinding | None:
        """Return what is found of an answer, ``None`` if it is not checked.

        Raises :class:`RailError`.
        """
        ...

    def given(self, answer: Completion) -> Completion:
        """Return a whole answer as the client gets it."""
        ...

    def given_events(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Return the events of an answer as the client gets them."""
        ...


class Rail(Protocol):
    """A guard rail. ``fails_open`` is whether what it cannot check passes.

    ``checks_output`` is whether answers must pass it; ``holds_streams``, whether a stream waits
    for its end and its check. ``spares`` are the tasks that it does not stand before, by their path
    below ``/v1``. ``fingerprint`` names all of its settings that change what passes it, or how: a
    cached answer is given only under the one under which it was made.
    """

    name: str
    fingerprint: str
    fails_open: bool
    checks_output: bool
    holds_streams: bool
    spares: frozenset[str]

    def begin(self) -> RailCall:
        """Return the rail at work for one call."""
        ...

    def puts_back(self, text: str) -> bool:
        """Return whether the answer to ``text`` gets values from it; called on a thread."""
        ...
