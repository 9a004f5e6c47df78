"""What a check says of an answer, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from providers.chat import Chat
from providers.completion import Completion
from providers.values import frozen
from routing.models import ModelRef

Result = Literal["passed", "failed", "undecided"]
INVALIDATING = frozenset({"ending", "schema", "tool_calls", "command"})
"""Checks whose failure makes an answer useless; after another one's it is only doubtful."""

Ask = Callable[[ModelRef, Chat, str], Awaitable[Completion | None]]
"""Calls a model for a check and returns its answer, ``None`` if there is none. The text says what
the call was for. It is recorded and charged with the request."""


@frozen
class Verdict:
    """The result of one check. ``reason`` holds no text of prompt or answer."""

    check: str
    result: Result
    reason: str = ""

    @property
    def invalidates(self) -> bool:
        """Return whether the answer is of no use to the client."""
        return self.result == "failed" and self.check in INVALIDATING


@frozen
class CheckedAnswer:
    """An answer to ``chat`` that is to be checked, with a way to ask other models about it.

    ``another`` is a second answer of the same model, ``None`` if there is none.
    """

    chat: Chat
    completion: Completion
    ask: Ask
    another: Completion | None = None


class Check(Protocol):
    """Decides whether an answer is good enough to be served."""

    name: str

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return the verdict; whatever cannot be decided is ``undecided``, never an error."""
        ...


class EndingCheck:
    """An answer must say something and must not be a refusal. It applies to every answer."""

    name = "ending"

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return whether the answer ended as one that can be used."""
        choice = answer.completion.choices[0]
        if choice.refusal or choice.finish_reason == "content_filter":
            return Verdict(self.name, "failed", "the model refused to answer")
        if not choice.text.strip() and not choice.tool_calls:
            return Verdict(self.name, "failed", "the answer is empty")
        if choice.finish_reason == "other":
            return Verdict(self.name, "failed", "the answer did not end as answers do")
        return Verdict(self.name, "passed")
