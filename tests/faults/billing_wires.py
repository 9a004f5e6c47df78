"""How the two APIs write the answers of the provider that keeps a bill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.billing_provider import Call


class Wire:
    """How an API writes an answer, whole and as events."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def whole(self, text: str, usage: tuple[Any, Any] | None) -> dict[str, Any]:
        raise NotImplementedError

    def first(self) -> bytes:
        raise NotImplementedError

    def piece(self, text: str) -> bytes:
        raise NotImplementedError

    def ping(self) -> bytes:
        return b": ping\n\n"

    def last(self, usage: tuple[Any, Any] | None) -> bytes:
        raise NotImplementedError


class Gpt(Wire):
    def _chunk(self, choices: list[Any], **more: Any) -> bytes:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1}
        return _event({**head, "model": self.call.model, "choices": choices, **more})

    @staticmethod
    def _usage(usage: tuple[Any, Any] | None) -> dict[str, Any]:
        if usage is None:
            return {}
        return {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}

    def whole(self, text: str, usage: tuple[Any, Any] | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "c1", "object": "chat.completion", "created": 1, "model": self.call.model}
        return {**head, "choices": [choice], **self._usage(usage)}

    def first(self) -> bytes:
        return self._chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}}])

    def piece(self, text: str) -> bytes:
        return self._chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}])

    def last(self, usage: tuple[Any, Any] | None) -> bytes:
        end = self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        counted = self._chunk([], **self._usage(usage)) if usage else b""
        return end + counted + b"data: [DONE]\n\n"


class Claude(Wire):
    def whole(self, text: str, usage: tuple[Any, Any] | None) -> dict[str, Any]:
        counted = {"input_tokens": usage[0], "output_tokens": usage[1]} if usage else {}
        return {
            "id": "m1", "type": "message", "role": "assistant", "model": self.call.model,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "stop_sequence": None, "usage": counted,
        }  # fmt: skip

    def first(self) -> bytes:
        message = self.whole("", (self.call.tokens_in, 1)) | {"content": [], "stop_reason": None}
        if self.call.act in ("silent", "absurd", "lies"):
            message["usage"] = {}
        block = {"type": "text", "text": ""}
        start = {"type": "content_block_start", "index": 0, "content_block": block}
        return _event({"type": "message_start", "message": message}) + _event(start)

    def piece(self, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return _event({"type": "content_block_delta", "index": 0, "delta": delta})

    def ping(self) -> bytes:
        return _event({"type": "ping"})

    def last(self, usage: tuple[Any, Any] | None) -> bytes:
        counted = {"input_tokens": usage[0], "output_tokens": usage[1]} if usage else {}
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            _event({"type": "content_block_stop", "index": 0})
            + _event({"type": "message_delta", "delta": delta, "usage": counted})
            + _event({"type": "message_stop"})
        )


def _event(data: dict[str, Any]) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()
