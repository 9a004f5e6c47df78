"""Chat completions: OpenAI's own, DeepSeek's with reasoning_content, OpenRouter's with details.

https://platform.openai.com/docs/api-reference/chat/create,
https://api-docs.deepseek.com/guides/thinking_mode,
https://openrouter.ai/docs/guides/best-practices/reasoning-tokens#preserving-reasoning
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.streams import sse
from tests.fakes.strict.author import (
    Answer,
    Author,
    Entry,
    Refused,
    check_name,
    check_results,
    only,
    result,
)
from tests.fakes.wires import as_asked, openai_completion

_FIELDS = {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream",
    "stream_options", "reasoning_effort", "temperature", "top_p", "stop", "n", "seed", "user",
    "response_format",
}  # fmt: skip
_MESSAGE = {"role", "content", "name", "refusal", "tool_calls", "tool_call_id"}


class OpenAIChatAuthor(Author):
    """OpenAI's own API: it knows no reasoning in messages and no marks for caches.

    ``forgives`` lets the servers that have reasoning in messages do without it, for clients
    that do not keep what their SDK does not know.
    """

    forgives = False

    fields = {
        "max_completion_tokens", "store", "metadata", "verbosity", "prompt_cache_key",
        "service_tier", "safety_identifier",
    }  # fmt: skip
    message_fields = {"annotations", "audio", "function_call", "parsed"}
    part_fields: set[str] = set()
    most_id = 40

    def error(self, message: str) -> dict[str, Any]:
        kind = "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def read(self, asked: Asked) -> list[Entry]:
        if not asked.path.endswith("/chat/completions"):
            raise Refused(f"Unknown path: {asked.path}")
        body = asked.body
        only(body, _FIELDS | self.fields, "request")
        for tool in body.get("tools") or ():
            only(tool, {"type", "function", *self.part_fields}, "tools")
            only(tool["function"], {"name", "description", "parameters", "strict"}, "function")
            check_name(tool["function"]["name"], "[a-zA-Z0-9_-]{1,64}")
        found: list[Entry] = []
        waiting: list[str] = []
        results: list[str] = []
        for message in body["messages"]:
            if message["role"] != "tool":
                check_results(waiting, results)
                waiting = [call["id"] for call in message.get("tool_calls") or ()]
                results = []
            else:
                results.append(message["tool_call_id"])
            found += self._message(message)
        check_results(waiting, results)
        return found

    def _message(self, message: dict[str, Any]) -> list[Entry]:
        only(message, _MESSAGE | self.message_fields, "messages")
        role = "system" if message["role"] == "developer" else message["role"]
        found: list[Entry] = self.read_reasoning(message) if role == "assistant" else []
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if role == "tool":
            return [result("".join(part["text"] for part in parts or ()))]
        for part in parts or ():
            only(part, {"type", part["type"], *self.part_fields}, "content")
            if part["type"] == "image_url":
                found.append(("image",))
            elif part["text"] or role != "assistant":
                found.append((role, part["text"]))
        calls = message.get("tool_calls") or ()
        if role == "assistant" and not content and not calls:
            raise Refused("messages: an assistant's message needs content or tool_calls")
        for call in calls:
            only(call, {"id", "type", "function", "index"}, "tool_calls")
            only(call["function"], {"name", "arguments", "parsed_arguments"}, "function")
            if len(call["id"]) > self.most_id:
                raise Refused(f"tool_calls.id: string too long: {call['id']}")
            found.append(
                ("call", call["function"]["name"], json.loads(call["function"]["arguments"]))
            )
        return found

    def read_reasoning(self, message: dict[str, Any]) -> list[Entry]:
        return []

    def write_reasoning(self) -> dict[str, Any]:
        return {}

    def write(self, asked: Asked, answer: Answer) -> Reply:
        reasoning = self.write_reasoning()
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        calls = [
            {
                "id": self.new_call("call_"),
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in answer.calls
        ]
        if calls:
            message["tool_calls"] = calls
        message.update(reasoning)
        self.written = self._message(message)
        finish = "tool_calls" if calls else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        body = openai_completion(asked.body["model"], choices=[choice])
        reply = as_asked(asked, body)
        if reply.chunks is None or not reasoning:
            return reply
        head = {"id": body["id"], "object": "chat.completion.chunk", "model": body["model"]}
        delta = {"content": "", **reasoning}
        thought = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        opening, *rest = reply.chunks
        return Reply(chunks=[opening, sse(thought), *rest])


class DeepSeekAuthor(OpenAIChatAuthor):
    """DeepSeek thinks always, and every message with calls must come with its reasoning."""

    fields = {"max_tokens", "thinking", "user_id", "logprobs", "top_logprobs"}
    message_fields = OpenAIChatAuthor.message_fields | {"reasoning_content", "prefix"}

    def read_reasoning(self, message: dict[str, Any]) -> list[Entry]:
        text = message.get("reasoning_content")
        calls = [call["id"] for call in message.get("tool_calls") or ()]
        if calls and text is None and not self.forgives:
            raise Refused(
                "The `reasoning_content` in the thinking mode must be passed back to the API."
            )
        if text and text not in self._signed.values():
            raise Refused(f"reasoning_content is not of this model: {text!r}")
        if any(map(self.own_call, calls)) and not text and not self.forgives:
            raise Refused("reasoning_content of a call was left empty")
        return [("thinking", text)] if text else []

    def write_reasoning(self) -> dict[str, Any]:
        text = f"DeepSeek thinks of {len(self.history)} things."
        self.sign(text)
        return {"reasoning_content": text}


class OpenRouterAuthor(OpenAIChatAuthor):
    """OpenRouter: details of reasoning come back as they were, and marks of caches may come."""

    fields = {
        "max_tokens", "reasoning", "usage", "include_reasoning", "provider", "verbosity",
        "prompt_cache_key", "session_id", "metadata", "cache_control",
    }  # fmt: skip
    message_fields = OpenAIChatAuthor.message_fields | {"reasoning", "reasoning_details"}
    part_fields = {"cache_control"}
    most_id = 64

    def read_reasoning(self, message: dict[str, Any]) -> list[Entry]:
        details = message.get("reasoning_details") or []
        own = any(self.own_call(call["id"]) for call in message.get("tool_calls") or ())
        if own and not details and not self.forgives:
            raise Refused("reasoning_details of a call are missing")
        if details and [d.get("type") for d in details] != [
            "reasoning.text",
            "reasoning.encrypted",
        ]:
            raise Refused(f"reasoning_details were changed: {details}")
        if not details:
            if message.get("reasoning"):
                raise Refused("reasoning is not of this model")
            return []
        only(
            details[0], {"type", "text", "format", "index", "signature", "id"}, "reasoning_details"
        )
        only(details[1], {"type", "data", "format", "index", "id"}, "reasoning_details")
        self.check_signature(details[1]["data"], details[0]["text"])
        return [("thinking", details[0]["text"])]

    def write_reasoning(self) -> dict[str, Any]:
        text = f"The router thinks of {len(self.history)} things."
        details = [
            {"type": "reasoning.text", "text": text, "format": "google-gemini-v1", "index": 0},
            {
                "type": "reasoning.encrypted", "data": self.sign(text),
                "format": "google-gemini-v1", "index": 1, "id": "r1",
            },
        ]  # fmt: skip
        return {"reasoning": text, "reasoning_details": details}
