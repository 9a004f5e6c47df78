"""Writes a complete answer in the format of OpenAI's Responses, and the items of its stream.

Format: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.openai.responses.tools import ResponseTools
from optimizer.domain.reasoning_seals import seal, seal_call
from optimizer.domain.result import CompletionResult
from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Opaque, Usage

_INCOMPLETE_REASONS: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
# Fields of the request that the answer repeats, with their defaults.
_REPEATED: dict[str, Any] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None}, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None,
    "truncation": "disabled", "user": None,
}  # fmt: skip


class ResponseFrame:
    """The fields that all states of one response share; ``stored`` is whether it is kept."""

    def __init__(
        self, request_id: object, request: Mapping[str, Any], *, stored: bool = False
    ) -> None:
        self._stored = stored
        self._previous = request.get("previous_response_id")
        self.tools = ResponseTools.of(request)
        self.id = f"resp_{request_id}"
        self._plain_id = str(request_id)
        self._created = int(time.time())
        self._repeated = {
            name: default if request.get(name) is None else request[name]
            for name, default in _REPEATED.items()
        }

    def body(self, model: str, status: str, output: list[Any], **more: Any) -> dict[str, Any]:
        """Return a ``response`` object; ``more`` replaces or adds fields."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": output,
            "previous_response_id": self._previous,
            "store": self._stored,
            "usage": None,
            **self._repeated,
            **more,
        }

    def ended(self, result: CompletionResult, output: list[Any]) -> dict[str, Any]:
        """Return the response in its final state, complete or incomplete."""
        reason = _INCOMPLETE_REASONS.get(result.completion.finish_reason)
        return self.body(
            result.model,
            "incomplete" if reason else "completed",
            output,
            incomplete_details={"reason": reason} if reason else None,
            usage=usage_body(result.completion.usage),
        )

    def whole(self, result: CompletionResult) -> dict[str, Any]:
        """Return the ``response`` object of a complete answer."""
        completion = result.completion
        author = (completion.provider, completion.model)
        return self.ended(result, list(self._items(completion.choices[0], author)))

    def item_id(self, prefix: str, place: int) -> str:
        """Return the id of the output item at ``place``."""
        return f"{prefix}_{self._plain_id}_{place}"

    def _items(self, choice: Choice, author: tuple[str, str]) -> Iterator[dict[str, Any]]:
        texts: list[dict[str, Any]] = []
        place = 0
        for part in choice.parts:
            if content := _content_of(part):
                texts.append(content)
                continue
            if texts:
                yield message_item(self.item_id("msg", place), texts)
                texts, place = [], place + 1
            if isinstance(part, Thinking):
                yield reasoning_item(self.item_id("rs", place), part.text, seal(part, *author))
                place += 1
            elif isinstance(part, ToolCall):
                if part.signature:
                    # Reasoning that belongs to the call has no other place in this API.
                    signature = seal_call(part, *author)
                    yield reasoning_item(self.item_id("rs", place), "", signature)
                    place += 1
                yield self.tools.call_item(
                    self.item_id("fc", place), part.id, part.name, part.arguments or "{}",
                    "completed",
                )  # fmt: skip
                place += 1
        if choice.refusal:
            texts.append({"type": "refusal", "refusal": choice.refusal})
        if texts:
            yield message_item(self.item_id("msg", place), texts)


def _content_of(part: AnswerPart) -> dict[str, Any] | None:
    """Return the content part of a text; ``None`` for other parts."""
    if isinstance(part, (Text, Opaque)) and part.text:
        return text_content(part.text)
    return None


def text_content(text: str, logprobs: list[Any] | None = None) -> dict[str, Any]:
    """Return an ``output_text`` content part."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}


def message_item(
    item_id: str, content: list[dict[str, Any]], status: str = "completed"
) -> dict[str, Any]:
    """Return a ``message`` output item."""
    return {
        "id": item_id, "type": "message", "role": "assistant", "status": status,
        "content": content,
    }  # fmt: skip


def reasoning_item(item_id: str, text: str, sealed: str = "") -> dict[str, Any]:
    """Return a ``reasoning`` output item; ``sealed`` lets its author understand it later."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    item = {"id": item_id, "type": "reasoning", "summary": summary}
    return {**item, "encrypted_content": sealed} if sealed else item


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the ``usage`` object, in tokens."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
