"""Read Anthropic's stream: the server-sent events of one message.

Wire: https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from providers.anthropic.answer import FINISH
from providers.errors import MalformedResponse, ProviderError, error_for_status
from providers.events import (
    Event,
    Finished,
    OpaqueBlock,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.usage import UsageOfStream

# https://docs.anthropic.com/en/api/errors
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_KNOWN_BLOCKS = {"text", "tool_use", "thinking", "redacted_thinking"}


class AnthropicStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._usage = UsageOfStream()
        self._calls: dict[int, int] = {}
        self._foreign: dict[int, dict[str, Any]] = {}
        self._foreign_json: dict[int, list[str]] = {}
        self.complete = False
        self.repaired = False

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message.

        Raises :class:`ProviderError` if the message reports an error.
        """
        if data is None:
            return
        kind = data.get("type") or name
        if kind == "message_start":
            message = data["message"]
            yield Started(message.get("id"))
            yield from self._usage_of(data, ended=False)
        elif kind == "content_block_start":
            yield from self._start(data["index"], data["content_block"])
        elif kind == "content_block_delta":
            yield from self._delta(data["index"], data["delta"])
        elif kind == "content_block_stop":
            yield from self._stop(data["index"])
        elif kind == "message_delta":
            yield from self._usage_of(data, ended=True)
            reason = data["delta"].get("stop_reason")
            if reason:
                stop = data["delta"].get("stop_sequence")
                own = "" if reason in FINISH else reason
                yield Finished(FINISH.get(reason, "other"), stop_sequence=stop, own=own)
        elif kind == "message_stop":
            yield from self._usage_of(data, ended=True)
            self.complete = True
        elif kind == "error":
            raise self._error(data.get("error") or {})
        # Pings and unknown messages are ignored, as Anthropic's documentation requires.

    def _usage_of(self, data: dict[str, Any], *, ended: bool) -> Iterator[Event]:
        # The counts are cumulative, and the last report omits those that did not change.
        if usage := self._usage.add(data, ended=ended):
            yield UsageReported(usage)

    def _start(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        kind = block["type"]
        if kind == "tool_use":
            self._calls[index] = len(self._calls)
            yield ToolCallStarted(self._calls[index], block["id"], block["name"])
            if block.get("input"):
                yield ToolArguments(self._calls[index], json.dumps(block["input"]))
        elif kind == "redacted_thinking":
            yield ThinkingDelta(redacted=block["data"])
        elif kind == "text" and block.get("text"):
            yield TextDelta(block["text"])
        elif kind == "thinking" and (block.get("thinking") or block.get("signature")):
            yield ThinkingDelta(block.get("thinking") or "", block.get("signature") or "")
        elif kind not in _KNOWN_BLOCKS:
            self._foreign[index] = dict(block)

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[Event]:
        kind = delta["type"]
        if index in self._foreign:
            if kind == "input_json_delta":
                self._foreign_json.setdefault(index, []).append(delta["partial_json"])
        elif kind == "text_delta":
            yield TextDelta(delta["text"])
        elif kind == "input_json_delta":
            if delta["partial_json"]:
                yield ToolArguments(self._calls[index], delta["partial_json"])
        elif kind == "thinking_delta":
            yield ThinkingDelta(delta["thinking"])
        elif kind == "signature_delta":
            yield ThinkingDelta(signature=delta["signature"])
        else:
            yield OpaqueBlock("anthropic", delta, attached=True)

    def _stop(self, index: int) -> Iterator[Event]:
        block = self._foreign.pop(index, None)
        if block is not None:
            if input_json := "".join(self._foreign_json.pop(index, ())):
                block["input"] = json.loads(input_json)
            yield OpaqueBlock("anthropic", block)

    def _error(self, error: dict[str, Any]) -> ProviderError:
        status = _STATUS.get(error.get("type") or "")
        if status is None:
            return MalformedResponse(self._provider, "ended the stream with an unknown error")
        return error_for_status(self._provider, status)
