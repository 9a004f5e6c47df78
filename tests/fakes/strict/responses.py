"""OpenAI's responses, without a store: reasoning comes back encrypted.

https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.streams import pieces, sse
from tests.fakes.strict.author import (
    Answer,
    Entry,
    Refused,
    check_name,
    check_results,
    only,
    result,
)
from tests.fakes.strict.openai_chat import OpenAIChatAuthor

_FIELDS = {
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream",
    "reasoning", "include", "store", "text", "max_output_tokens", "metadata", "truncation",
    "prompt_cache_key", "safety_identifier", "service_tier", "temperature", "top_p", "user",
    "previous_response_id",
}  # fmt: skip
_ITEMS = {
    "message": {"role", "content", "id", "status", "phase"},
    "reasoning": {"id", "summary", "encrypted_content", "content", "status"},
    "function_call": {"id", "call_id", "name", "arguments", "status", "parsed_arguments"},
    "function_call_output": {"id", "call_id", "output", "status"},
}
_numbers = itertools.count(1)


class OpenAIAuthor(OpenAIChatAuthor):
    """OpenAI as a whole: chat completions and responses, whose items it may store."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._stored: dict[str, dict[str, Any]] = {}

    def read(self, asked: Asked) -> list[Entry]:
        if not asked.path.endswith("/responses"):
            return super().read(asked)
        body = asked.body
        only(body, _FIELDS, "request")
        for tool in body.get("tools") or ():
            only(tool, {"type", "name", "description", "parameters", "strict"}, "tools")
            check_name(tool["name"], "[a-zA-Z0-9_-]{1,64}")
        found: list[Entry] = []
        if body.get("instructions"):
            found.append(("system", body["instructions"]))
        calls, results, before = [], [], ""
        for item in map(self._referred, body["input"]):
            kind = item.get("type", "message")
            if kind not in _ITEMS:
                raise Refused(f"Unknown kind of item: {kind}")
            only(item, {"type", *_ITEMS[kind]}, kind)
            found += self._item(kind, item)
            if kind == "function_call":
                if self.own_call(item["call_id"]) and before not in ("reasoning", "function_call"):
                    raise Refused("Item of type 'function_call' was provided without its "
                                  "required 'reasoning' item")  # fmt: skip
                calls.append(item["call_id"])
            elif kind == "function_call_output":
                results.append(item["call_id"])
            before = kind
        check_results(calls, results)
        return found

    def _referred(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the stored item that ``item`` refers to, else ``item``."""
        if item.get("type") != "item_reference":
            return item
        if item["id"] not in self._stored:
            raise Refused(f"Item with id '{item['id']}' not found.")
        return self._stored[item["id"]]

    def _item(self, kind: str, item: dict[str, Any]) -> list[Entry]:
        if kind == "reasoning":
            (summary,) = item["summary"]
            self.check_signature(item["encrypted_content"], summary["text"])
            return [("thinking", summary["text"])]
        if kind == "function_call":
            return [("call", item["name"], json.loads(item["arguments"]))]
        if kind == "function_call_output":
            output = item["output"]
            text = output if isinstance(output, str) else "".join(o["text"] for o in output)
            return [result(text)]
        content = item["content"]
        role = "system" if item["role"] == "developer" else item["role"]
        if isinstance(content, str):
            return [(role, content)]
        return [self._part(role, part) for part in content]

    @staticmethod
    def _part(role: str, part: dict[str, Any]) -> Entry:
        kinds = {"output_text", "refusal"} if role == "assistant" else {"input_text", "input_image"}
        if part["type"] not in kinds:
            raise Refused(f"Invalid value: {part['type']!r} of role {role}")
        return ("image",) if part["type"] == "input_image" else (role, part["text"])

    def write(self, asked: Asked, answer: Answer) -> Reply:
        if not asked.path.endswith("/responses"):
            return super().write(asked, answer)
        text = f"OpenAI thinks of {len(self.history)} things."
        summary = [{"type": "summary_text", "text": text}]
        output: list[dict[str, Any]] = [
            {
                "id": f"rs_{next(_numbers)}", "type": "reasoning", "summary": summary,
                "encrypted_content": self.sign(text),
            }
        ]  # fmt: skip
        for name, arguments in answer.calls:
            output.append(
                {
                    "id": f"fc_{next(_numbers)}", "type": "function_call", "status": "completed",
                    "call_id": self.new_call("call_"), "name": name,
                    "arguments": json.dumps(arguments),
                }
            )  # fmt: skip
        if answer.text:
            part = {
                "type": "output_text", "text": answer.text, "annotations": [], "logprobs": [],
            }  # fmt: skip
            message = {
                "id": f"msg_{next(_numbers)}", "type": "message", "status": "completed",
                "role": "assistant", "content": [part],
            }  # fmt: skip
            output.insert(1, message)
            if answer.calls:  # its reasoning stands right before a call
                output.insert(0, output.pop(1))
        self.written = [entry for item in output for entry in self._item(item["type"], item)]
        if asked.body.get("store", True):
            self._stored |= {item["id"]: item for item in output}
        body = _response(asked.body, output)
        if not asked.body.get("stream"):
            return Reply(body)
        events = enumerate(_events(body))
        return Reply(
            chunks=[sse({**e, "sequence_number": n}, e["type"]) for n, e in events]
        )  # fmt: skip


def _response(asked: dict[str, Any], output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": 20, "output_tokens": 9, "total_tokens": 29,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    return {
        "id": f"resp_{next(_numbers)}", "object": "response", "created_at": 1_790_000_000,
        "status": "completed", "error": None, "incomplete_details": None,
        "instructions": asked.get("instructions"), "model": asked["model"], "output": output,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": asked.get("tools") or [],
        "temperature": 1.0, "top_p": 1.0, "metadata": {}, "usage": usage,
    }  # fmt: skip


def _events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events that spell the response ``body``."""
    yield {
        "type": "response.created",
        "response": {**body, "status": "in_progress", "output": [], "usage": None},
    }
    for index, item in enumerate(body["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        empty = {"reasoning": {"summary": []}, "function_call": {"arguments": ""}}
        opening = {**item, **empty.get(item["type"], {"content": []})}
        yield {"type": "response.output_item.added", "output_index": index, "item": opening}
        if item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
            done = {**at, "name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **done}
        elif item["type"] == "reasoning":
            (part,) = item["summary"]
            at["summary_index"] = 0
            yield {
                "type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""},
            }  # fmt: skip
            for piece in pieces(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
            yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
        else:
            (part,) = item["content"]
            at["content_index"] = 0
            yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
            for piece in pieces(part["text"]):
                yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
            done = {**at, "text": part["text"], "logprobs": []}
            yield {"type": "response.output_text.done", **done}
            yield {"type": "response.content_part.done", **at, "part": part}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": body}
