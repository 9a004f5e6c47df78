"""The events of a streamed answer, independent of any wire format.

``choice`` is the number of the answer that an event belongs to, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from providers.values import frozen

if TYPE_CHECKING:
    from providers.completion import FinishReason, Usage


@frozen
class Started:
    """The provider accepted the call.

    ``extra`` holds fields about the whole answer, under the names of the provider's wire.
    ``headers`` are those that clients of that wire read. ``relayed`` is whether the messages
    of the stream follow as :class:`Relayed`.
    """

    response_id: str | None = None
    extra: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    relayed: bool = False


@frozen
class TextDelta:
    """A piece of the answer's text; ``logprobs`` are those of its tokens, in OpenAI's shape.

    ``block`` numbers the blocks of the choice where a wire has them; two blocks stay apart.
    """

    text: str
    choice: int = 0
    logprobs: list[Any] | None = None
    block: int = 0


@frozen
class ThinkingDelta:
    """A piece of the model's reasoning, as in :class:`providers.chat.Thinking`.

    ``block`` numbers the blocks of reasoning of a choice; pieces of two blocks stay apart.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    choice: int = 0
    block: int = 0
    details: Any = None


@frozen
class RefusalDelta:
    """A piece of the text with which the model refuses to answer."""

    text: str
    choice: int = 0


@frozen
class ToolCallStarted:
    """A tool call begins; ``index`` numbers the tool calls of a choice from 0."""

    index: int
    id: str
    name: str
    signature: str = ""
    choice: int = 0
    freeform: bool = False


@frozen
class ToolArguments:
    """A piece of the arguments of the tool call ``index``, as JSON text."""

    index: int
    text: str
    choice: int = 0


@frozen
class OpaqueBlock:
    """A part of the answer that only its own wire can represent.

    ``attached`` is true if it belongs to the text before it (a citation, for example),
    and false if it stands alone.
    """

    wire: str
    value: Mapping[str, Any]
    choice: int = 0
    attached: bool = False


@frozen
class Finished:
    """A choice is complete. ``own`` is a stop reason that only the provider's wire knows."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    own: str = ""


@frozen
class UsageReported:
    """Tokens used so far, or in total; a later report replaces an earlier one."""

    usage: Usage


@frozen
class Relayed:
    """A message of the provider's stream, for clients that use the same wire.

    It follows the events that were read from it. ``name`` and ``text`` are the name and the
    data of the server-sent event as they came; ``data`` is the JSON of it, ``None`` for
    OpenAI's end marker. ``ending`` marks the messages that a client gets only once the answer
    is recorded.
    """

    name: str
    text: str
    data: Mapping[str, Any] | None
    ending: bool = False


@frozen
class KeepAlive:
    """Nothing has arrived for a while; the client's connection must be kept open."""


AnswerEvent = (
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
Event = AnswerEvent | Relayed | KeepAlive
Content = TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolArguments | OpaqueBlock
