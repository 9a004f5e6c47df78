"""Reasoning in messages: the author's own form on its own wire, else under a seal.

No block of thinking goes out unsigned: the provider would refuse it in the next turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.domain.reasoning_seals import is_seal, seal, seal_call, unseal, unseal_call
from providers.assembly import ThinkingBuffer
from providers.chat import Thinking, ToolCall

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Author:
    """The provider and model of an answer; ``own`` is whether the provider uses this API."""

    provider: str
    model: str
    own: bool = False

    def block(self, thinking: Thinking) -> Block | None:
        """Return the block of ``thinking``; ``None`` if there is nothing in it."""
        if self.own and not thinking.details:
            if thinking.redacted and not thinking.text:
                return _redacted(thinking.redacted)
            if thinking.signature:
                return _thinking(thinking.text, thinking.signature)
        if thinking.text:
            return _thinking(thinking.text, seal(thinking, self.provider, self.model))
        if thinking.signature or thinking.redacted or thinking.details:
            return _redacted(seal(thinking, self.provider, self.model))
        return None

    def before_call(self, call: ToolCall) -> Block | None:
        """Return the block that holds the signature of ``call``, which has no field for it."""
        if not call.signature:
            return None
        return _redacted(seal_call(call, self.provider, self.model))


def _thinking(text: str, signature: str) -> Block:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _redacted(data: str) -> Block:
    return {"type": "redacted_thinking", "data": data}


@dataclass(slots=True)
class Thought(ThinkingBuffer):
    """One block of reasoning, as it arrives; ``shown`` is whether the client has its start."""

    shown: bool = False


class ThoughtReader:
    """Reads the reasoning in the turns of a request.

    ``sealed`` is whether any of it is under a seal of this service, or without any.
    """

    def __init__(self) -> None:
        self.sealed = False
        self._call_seal = ""

    def thinking(self, block: BodyReader) -> Thinking:
        """Return a block ``thinking``."""
        text, signature = _text(block, "thinking"), _text(block, "signature")
        if signature and not is_seal(signature):
            return Thinking(text, signature)
        self.sealed = True
        return unseal(signature) or Thinking(text)

    def redacted(self, block: BodyReader) -> Thinking:
        """Return a block ``redacted_thinking``; that of a call is kept for the call."""
        data = _text(block, "data")
        if data and not is_seal(data):
            return Thinking(redacted=data)
        self.sealed = True
        unsealed = unseal(data)
        if unsealed is None:
            self._call_seal = data
        return unsealed or Thinking()

    def signature_of_call(self) -> tuple[str, tuple[str, str]]:
        """Return the signature of the next call and its author (provider, model)."""
        call_seal, self._call_seal = self._call_seal, ""
        return unseal_call(call_seal)


def _text(block: BodyReader, name: str) -> str:
    value = block.raw(name)
    return value if isinstance(value, str) else ""


def blocks_of_call(author: Author, call: ToolCall) -> Iterator[Block]:
    """Yield the block of a call, after the one with its signature."""
    if (sealed := author.before_call(call)) is not None:
        yield sealed
    yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
