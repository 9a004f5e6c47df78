"""Read Anthropic's answers: a whole ``message``, and the pieces that its stream shares.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    FinishReason,
    Opaque,
)
from providers.errors import MalformedResponse
from providers.failed_endings import failed_ending, is_failure
from providers.tool_names import ToolNames
from providers.usage import read_usage
from providers.usage_estimates import complete_usage

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Servers that pass on the words of OpenAI's API.
_OTHER_WORDS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
# The longest name of a tool, in characters.
LONGEST_TOOL_NAME = 128
_MESSAGE_FIELDS = frozenset(
    {
        "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage",
        "request_id", "optimizer",
    }
)  # fmt: skip


class MessageCallNames:
    """The client's names of the tools of a request, and which of them take plain text.

    Without a ``request`` the names are those that the provider gives. ``longest`` is how long
    they may be there.
    """

    __slots__ = ("_freeform", "_names")

    def __init__(
        self, request: CompletionRequest | None = None, longest: int = LONGEST_TOOL_NAME
    ) -> None:
        self._freeform: frozenset[str] = frozenset()
        self._names: ToolNames | None = None
        if request is not None and request.chat.tools:
            self._names = ToolNames(request.chat, longest)
            self._freeform = frozenset(t.name for t in request.chat.tools if t.freeform)

    def inner(self, name: str) -> str:
        """Return the client's name of a tool."""
        return name if self._names is None else self._names.inner(name)

    def is_freeform(self, name: str) -> bool:
        """Return whether the tool with the client's ``name`` takes plain text."""
        return name in self._freeform


def read_message(
    provider: str, request: CompletionRequest, body: dict[str, Any], names: MessageCallNames
) -> Completion:
    """Return the completion in ``body``, a ``message`` object.

    Raises :class:`MalformedResponse` if there is no message in it; ``ValueError`` and the like
    if its usage is not usable.
    """
    parts = tuple(_parts(body.get("content"), names))
    reason = text_of(body.get("stop_reason"))
    if not parts and not reason:
        usage = read_usage(body)
        raise MalformedResponse(provider, "returned no message", usage=usage)
    called = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(
        parts=parts,
        finish_reason=finish_reason(reason, called=called),
        stop_sequence=text_of(body.get("stop_sequence")) or None,
    )
    if choice.finish_reason == "other" and is_failure(reason, called=called):
        usage = complete_usage(read_usage(body), request.chat, (choice,))
        raise failed_ending(provider, reason, usage)
    return Completion(
        provider=provider,
        model=request.model,
        choices=(choice,),
        usage=complete_usage(read_usage(body), request.chat, (choice,)),
        response_id=text_of(body.get("id")) or None,
        extra=dict(extra_fields(body)),
    )


def finish_reason(reason: str, *, called: bool) -> FinishReason:
    """Return why the answer ended; ``called`` is whether it calls tools of the client."""
    return FINISH.get(fitting_stop(reason, called=called), "other")


def fitting_stop(reason: str, *, called: bool) -> str:
    """Return this API's word for ``reason`` that agrees with whether tools are called."""
    reason = _OTHER_WORDS.get(reason, reason)
    if called and reason in {"", "end_turn", "stop_sequence"}:
        return "tool_use"
    return "end_turn" if reason == "tool_use" and not called else reason


def extra_fields(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what only this wire knows of the whole answer, for clients of this wire."""
    # A stop reason that only this wire knows is passed on unchanged to clients of this wire.
    reason = text_of(body.get("stop_reason"))
    if reason and reason not in FINISH and reason not in _OTHER_WORDS:
        yield "stop_reason", reason
    for name, value in body.items():
        if name not in _MESSAGE_FIELDS and value is not None:
            yield name, value


def text_of(value: Any) -> str:
    """Return a text, also where a server sends a list of parts, a number or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if isinstance(value, Mapping):
        return text_of(value.get("text", value.get("value")))
    return "" if value is None or isinstance(value, bool) else str(value)


def arguments_of(value: Any) -> str:
    """Return the arguments of a call as JSON text; what is no JSON is kept as it is."""
    if isinstance(value, str):
        return value if value.strip() else "{}"
    return "{}" if value is None else json.dumps(value)


def _parts(content: Any, names: MessageCallNames) -> Iterator[AnswerPart]:
    blocks: Iterable[Any] = content if isinstance(content, list) else [content]
    for number, block in enumerate(blocks):
        if not isinstance(block, Mapping):
            if text := text_of(block):
                yield Text(text)
        elif (part := _part(block, names, number)) is not None:
            yield part


def _part(block: Mapping[str, Any], names: MessageCallNames, number: int) -> AnswerPart | None:
    kind = kind_of(block)
    if kind == "text":
        text = text_of(block.get("text"))
        return Opaque("anthropic", block, text) if block.get("citations") else Text(text)
    if kind == "tool_use":
        name = names.inner(text_of(block.get("name")))
        if not name:
            return None
        call_id = text_of(block.get("id")) or f"toolu_{number}"
        freeform = names.is_freeform(name)
        return ToolCall(call_id, name, arguments_of(block.get("input")), freeform=freeform)
    if kind == "thinking":
        return Thinking(text_of(block.get("thinking")), text_of(block.get("signature")))
    if kind == "redacted_thinking":
        return Thinking(redacted=text_of(block.get("data")))
    return Opaque("anthropic", block)


def kind_of(block: Mapping[str, Any]) -> str:
    """Return the type of a block, also where the server left it out."""
    kind = block.get("type")
    if isinstance(kind, str) and kind:
        return kind
    if "name" in block and "input" in block:
        return "tool_use"
    return "thinking" if "thinking" in block else "text" if "text" in block else "unknown"


def mend_message(body: dict[str, Any]) -> bool:
    """Mend in ``body`` what no client can read; return whether anything changed.

    Blocks are objects with a type, and their texts are texts. A call needs an id and an object
    as its input, and the ending must say that there are calls.
    """
    content = body.get("content")
    alone = isinstance(content, (str, dict))
    blocks: list[Any] = [content] if alone else content if isinstance(content, list) else []
    shaped = ({"type": "text", "text": b} if isinstance(b, str) else b for b in blocks)
    whole = [block for block in shaped if isinstance(block, dict)]
    changed = alone or len(whole) != len(blocks) or any(map(operator.is_not, whole, blocks))
    called = False
    for number, block in enumerate(whole):
        changed |= _mend_block(block)
        if block["type"] == "tool_use":
            called = True
            changed |= mend_call(block, number)
    if changed:
        body["content"] = whole
    reason = text_of(body.get("stop_reason"))
    if (called or reason) and (fitting := fitting_stop(reason, called=called)) != reason:
        body["stop_reason"] = fitting
        return True
    return changed


def _mend_block(block: dict[str, Any]) -> bool:
    kind, changed = kind_of(block), False
    if block.get("type") != kind:
        block["type"], changed = kind, True
    if kind in ("text", "thinking") and not isinstance(block.get(kind), str):
        block[kind], changed = text_of(block.get(kind)), True
    return changed


def mend_call(block: dict[str, Any], number: int) -> bool:
    """Mend one block that calls a tool; return whether anything changed."""
    changed = False
    if not block.get("id"):
        block["id"], changed = f"toolu_{number}", True
    if not isinstance(block.get("input"), dict):
        call = ToolCall("", "", arguments_of(block.get("input")))
        block["input"], changed = call.input, True
    return changed
