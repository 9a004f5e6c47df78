"""What happens while a model answers, apart from how any wire spells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.completion import FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Started:
    """The provider took the call. ``extra`` is what its wire said about the whole answer."""

    response_id: str | None = None
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    choice: int = 0
    logprobs: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str = ""
    signature: str = ""
    redacted: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """``index`` numbers a choice's tool calls from 0."""

    index: int
    id: str
    name: str
    signature: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolArguments:
    index: int
    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class OpaqueBlock:
    """A piece of the answer that only its own wire can carry.

    ``attached`` is whether it belongs to the text before it (a citation, say)
    rather than standing alone.
    """

    wire: str
    value: Mapping[str, Any]
    choice: int = 0
    attached: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A choice is complete. ``own`` is the ending's name where only its wire knows it."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    own: str = ""


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens so far, or in all; a later report replaces an earlier one."""

    usage: Usage


Event = (
    Started
    | TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolCallStarted
    | ToolArguments
    | OpaqueBlock
    | Finished
    | UsageReported
)
Content = TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolArguments | OpaqueBlock
