"""What may stand before and after every call of a model: it changes, checks and refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from providers.attempts import Attempt
from providers.chat import Chat
from providers.completion import Completion
from providers.opened_stream import OpenStream

Made = TypeVar("Made")


class CallGuard(Protocol):
    """Guards all calls of a process, whoever makes them.

    Each method is given what is asked, and ``proceed``, which makes the calls with what it is given
    and adds those that fail to a list of its own. What the guard finds is added to ``attempts``.
    They raise :class:`providers.attempts.CallRefused`.
    """

    async def whole(
        self,
        chat: Chat,
        attempts: list[Attempt],
        proceed: Callable[[Chat, list[Attempt]], Awaitable[Completion]],
    ) -> Completion:
        """Return the answer that may be given."""
        ...

    async def streamed(
        self,
        chat: Chat,
        attempts: list[Attempt],
        proceed: Callable[[Chat, list[Attempt]], Awaitable[OpenStream]],
    ) -> OpenStream:
        """Return the stream that may be given."""
        ...

    async def of_body(
        self,
        task: str,
        body: Mapping[str, Any],
        residency: frozenset[str],
        attempts: list[Attempt],
        proceed: Callable[[Mapping[str, Any], list[Attempt]], Awaitable[Made]],
    ) -> Made:
        """Return what is made of a body that is no chat; ``task`` is its path below ``/v1``."""
        ...
