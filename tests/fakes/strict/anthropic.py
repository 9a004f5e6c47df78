"""Anthropic's messages.

https://platform.claude.com/docs/en/build-with-claude/thinking,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.strict.author import (
    Answer,
    Author,
    Entry,
    Refused,
    check_name,
    check_results,
    only,
)
from tests.fakes.wires import anthropic_message, as_asked

_FIELDS = {
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "metadata", "stream",
    "stop_sequences", "temperature", "top_p", "top_k", "thinking", "service_tier",
    "output_config", "cache_control",
}  # fmt: skip
_TOOL = {
    "type", "name", "description", "input_schema", "strict", "cache_control",
    "eager_input_streaming",
}  # fmt: skip
_BLOCKS = {
    "text": {"text", "citations", "cache_control"},
    "image": {"source", "cache_control"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input", "cache_control"},
    "tool_result": {"tool_use_id", "content", "is_error", "cache_control"},
}
_MOST_MARKS = 4


class AnthropicAuthor(Author):
    """Claude: its thinking comes back signed and unchanged, and each call has its result.

    A message that goes on with a thread has only the new turns.
    """

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._threads: dict[str, dict[str, Any]] = {}
        self._body: dict[str, Any] = {}

    def error(self, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}

    def read(self, asked: Asked) -> list[Entry]:
        body = self._body = self._whole(asked)
        only(body, _FIELDS, "request")
        if json.dumps(body).count('"cache_control"') > _MOST_MARKS:
            raise Refused("A maximum of 4 blocks with cache_control may be provided.")
        for tool in body.get("tools") or ():
            only(tool, _TOOL, "tools")
            check_name(tool["name"], r"[a-zA-Z0-9_-]{1,128}")
            if tool["input_schema"].get("type") != "object":
                raise Refused("tools: input_schema.type: Input should be 'object'")
        self._check_thinking(body)
        system = body.get("system") or []
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        found: list[Entry] = [("system", block["text"]) for block in blocks]
        for message in body["messages"]:
            only(message, {"role", "content"}, "messages")
            found += self._message(message)
        self._check_pairs(body["messages"])
        return found

    def _whole(self, asked: Asked) -> dict[str, Any]:
        """Return the request with the turns of the thread that it continues."""
        body = {name: value for name, value in asked.body.items() if name != "thread"}
        thread = asked.body.get("thread")
        if thread is None:
            return body
        if "message-threads" not in asked.headers.get("anthropic-beta", ""):
            raise Refused("thread: Extra inputs are not permitted")
        if thread["type"] != "continue":
            return body
        before = self._threads[thread["previous_message_id"]]
        return {**before, **body, "messages": before["messages"] + body["messages"]}

    def _check_thinking(self, body: dict[str, Any]) -> None:
        thinking = body.get("thinking") or {}
        if thinking.get("type") != "enabled":
            return
        if thinking["budget_tokens"] >= body["max_tokens"]:
            raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
        last = body["messages"][-2:]
        if len(last) == 2 and isinstance(last[1]["content"], list):
            goes_on = any(block["type"] == "tool_result" for block in last[1]["content"])
            first = last[0]["content"][0]["type"] if goes_on else "thinking"
            if first not in ("thinking", "redacted_thinking"):
                raise Refused(f"Expected `thinking` or `redacted_thinking`, but found `{first}`.")

    def _message(self, message: dict[str, Any]) -> list[Entry]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            raise Refused("messages: content must not be empty")
        return [self._block(message["role"], block) for block in blocks]

    def _block(self, role: str, block: dict[str, Any]) -> Entry:
        kind = block["type"]
        if kind not in _BLOCKS:
            raise Refused(f"Unknown kind of block: {kind}")
        only(block, {"type", *_BLOCKS[kind]}, kind)
        if kind == "text":
            if not block["text"].strip():
                raise Refused("text content blocks must contain non-whitespace text")
            return (role, block["text"])
        if kind == "image":
            only(block["source"], {"type", "media_type", "data"}, "source")
            return ("image",)
        if kind == "thinking":
            self.check_signature(block["signature"], block["thinking"])
            return ("thinking", block["thinking"])
        if kind == "redacted_thinking":
            self.check_signature(block["data"])
            return ("thinking", "")
        if kind == "tool_use":
            check_name(block["id"], "[a-zA-Z0-9_-]+")
            return ("call", block["name"], block["input"])
        content = block["content"]
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        return ("result", text, block.get("is_error", False))

    @staticmethod
    def _check_pairs(messages: list[dict[str, Any]]) -> None:
        waiting: list[str] = []
        for message in messages:
            content = message["content"] if isinstance(message["content"], list) else []
            results = [b["tool_use_id"] for b in content if b["type"] == "tool_result"]
            check_results(waiting, results)
            waiting = [block["id"] for block in content if block["type"] == "tool_use"]
        check_results(waiting, [])

    def write(self, asked: Asked, answer: Answer) -> Reply:
        content: list[dict[str, Any]] = []
        if (self._body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            text = f"Let me think of {len(self.history)} things."
            content.append({"type": "thinking", "thinking": text, "signature": self.sign(text)})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        for name, arguments in answer.calls:
            call_id = self.new_call("toolu_")
            content.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments})
        self.written = [self._block("assistant", block) for block in content]
        reason = "tool_use" if answer.calls else "end_turn"
        body = anthropic_message(asked.body["model"], content=content, stop_reason=reason)
        turns = [*self._body["messages"], {"role": "assistant", "content": content}]
        self._threads[body["id"]] = {**self._body, "messages": turns}
        return as_asked(asked, body)
