"""Agents of four APIs that repeat what they got, and models behind them that do as they are told.

A model's answer is a list of steps: ``("text", words)``, ``("thought", words)`` or
``("call", id, name, arguments)``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.fakes.server import Asked, Reply
from tests.fakes.wires import (
    anthropic_message,
    as_asked,
    gemini_response,
    openai_completion,
)

Step = tuple[Any, ...]
_numbers = itertools.count(1)
PARAMETERS = {"type": "object", "properties": {"cmd": {"type": "string"}}}


class Agent:
    """One conversation. ``turns`` are its messages in the form of its API."""

    fake = "claude"
    model = "claude-sonnet-5-5"
    path = "/v1/messages"
    field = "messages"
    headers: dict[str, str] = {}

    def __init__(self, *, tools: bool = True, session: str = "") -> None:
        self.turns: list[Any] = []
        self.tools = tools
        self.session = session or f"session-{next(_numbers)}"

    def body(self) -> dict[str, Any]:
        raise NotImplementedError

    def person(self, words: str) -> None:
        self.turns.append({"role": "user", "content": words})

    def results(self, *results: tuple[str, str]) -> None:
        raise NotImplementedError

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        raise NotImplementedError

    def read(self, raw: str, streamed: bool) -> list[Step]:
        """Read an answer, add it to the turns, and return what a user sees of it."""
        raise NotImplementedError

    async def ask(self, client: httpx.AsyncClient, *, streamed: bool = False) -> list[Step]:
        path, body = self.path, self.body()
        if streamed and ":" in path:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        elif streamed:
            body["stream"] = True
        headers = {"x-session-id": self.session, **self.headers}
        reply = await client.post(path, json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        assert "optimizer_restore" not in reply.text
        self.raw = reply.text
        return self.read(reply.text, streamed)

    def sent(self, asked: Asked) -> list[Any]:
        """The messages of a request, without marks for caches."""
        return _without_marks(asked.body[self.field])

    def sent_tools(self, asked: Asked) -> list[str]:
        return [tool["name"] for tool in asked.body.get("tools") or ()]


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [_without_marks(one) for one in value] if isinstance(value, list) else value


def events_of(raw: str) -> list[Any]:
    lines = [line[6:] for line in raw.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def _text_blocks(text: str) -> list[Any]:
    return [{"type": "text", "text": text}]


class ClaudeAgent(Agent):
    headers = {"anthropic-version": "2023-06-01"}

    def body(self) -> dict[str, Any]:
        tools = [{"name": "run", "input_schema": PARAMETERS}] if self.tools else []
        more = {"tools": tools} if tools else {}
        return {"model": self.model, "max_tokens": 999, "messages": list(self.turns), **more}

    def results(self, *results: tuple[str, str]) -> None:
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": call,
                "content": [{"type": "text", "text": text}],
            }
            for call, text in results
        ]
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
        self.turns.append({"role": "user", "content": blocks})

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        blocks: list[Any] = []
        for kind, *step in steps:
            if kind == "text":
                blocks.append({"type": "text", "text": step[0]})
            elif kind == "thought":
                blocks.append({"type": "thinking", "thinking": step[0], "signature": "sealed"})
            else:
                call_id, name, value = step
                blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": value})
        called = any(step[0] == "call" for step in steps)
        reason = "tool_use" if called else "end_turn"
        message = anthropic_message(self.model, content=blocks, stop_reason=reason)
        return as_asked(asked, message)

    def read(self, raw: str, streamed: bool) -> list[Step]:
        blocks = self._streamed(raw) if streamed else json.loads(raw)["content"]
        self.turns.append({"role": "assistant", "content": blocks})
        seen: list[Step] = []
        for block in blocks:
            if block["type"] == "text":
                seen.append(("text", block["text"]))
            elif block["type"] == "thinking":
                assert block["signature"] == "sealed"
                seen.append(("thought", block["thinking"]))
            else:
                seen.append(("call", block["id"], block["name"], block["input"]))
        return seen

    def _streamed(self, raw: str) -> list[Any]:
        events = events_of(raw)
        assert [e["type"] for e in events].count("message_start") == 1
        assert [e["type"] for e in events].count("message_delta") == 1
        assert events[-1]["type"] == "message_stop"
        blocks: list[Any] = []
        for event in events:
            if event["type"] == "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append(dict(event["content_block"]))
            elif event["type"] == "content_block_delta":
                delta, block = event["delta"], blocks[event["index"]]
                for name in ("text", "thinking", "signature"):
                    block[name] = block.get(name, "") + delta.get(name, "")
                block["json"] = block.get("json", "") + delta.get("partial_json", "")
        for block in blocks:
            arguments = block.pop("json", "")
            if block["type"] == "tool_use":
                block["input"] = json.loads(arguments)
            for name in ("text", "thinking", "signature"):
                if not block.get(name):
                    block.pop(name, None)
        return blocks


class OpenAIAgent(Agent):
    fake = "openrouter"
    model = "z-ai/glm-5.3"
    path = "/v1/chat/completions"

    def body(self) -> dict[str, Any]:
        function = {"name": "run", "parameters": PARAMETERS}
        more = {"tools": [{"type": "function", "function": function}]} if self.tools else {}
        return {"model": self.model, "messages": list(self.turns), **more}

    def results(self, *results: tuple[str, str]) -> None:
        for call, text in results:
            self.turns.append({"role": "tool", "tool_call_id": call, "content": text})

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        text = "".join(step[1] for step in steps if step[0] == "text")
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        calls = [
            {
                "id": step[1],
                "type": "function",
                "function": {"name": step[2], "arguments": json.dumps(step[3])},
            }
            for step in steps
            if step[0] == "call"
        ]
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop",
        }  # fmt: skip
        return as_asked(asked, openai_completion(self.model, choices=[choice]))

    def read(self, raw: str, streamed: bool) -> list[Step]:
        message = self._streamed(raw) if streamed else json.loads(raw)["choices"][0]["message"]
        self.turns.append(message)
        seen: list[Step] = [("text", message["content"])] if message.get("content") else []
        for call in message.get("tool_calls") or ():
            function = call["function"]
            seen.append(("call", call["id"], function["name"], json.loads(function["arguments"])))
        return seen

    def _streamed(self, raw: str) -> dict[str, Any]:
        chunks = events_of(raw)
        assert raw.rstrip().endswith("data: [DONE]")
        assert len({chunk["id"] for chunk in chunks}) == 1
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        ends = 0
        for chunk in chunks:
            for choice in chunk["choices"]:
                ends += choice.get("finish_reason") is not None
                delta = choice["delta"]
                message["content"] += delta.get("content") or ""
                for call in delta.get("tool_calls") or ():
                    calls = message.setdefault("tool_calls", [])
                    if call["index"] == len(calls):
                        calls.append({k: v for k, v in call.items() if k != "index"})
                    else:
                        function = calls[call["index"]]["function"]
                        function["arguments"] += call["function"].get("arguments") or ""
        assert ends == 1
        return message

    def sent_tools(self, asked: Asked) -> list[str]:
        return [tool["function"]["name"] for tool in asked.body.get("tools") or ()]


class TranslatedAgent(OpenAIAgent):
    """OpenAI's API in front of Anthropic's."""

    fake = "claude"
    model = "claude-sonnet-5-5"

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        return ClaudeAgent().answer(asked, steps)

    def sent_tools(self, asked: Asked) -> list[str]:
        return ClaudeAgent().sent_tools(asked)


class ResponsesAgent(Agent):
    fake = "openai"
    model = "gpt-6-luna"
    path = "/v1/responses"
    field = "input"
    store = False

    def body(self) -> dict[str, Any]:
        tool = {"type": "function", "name": "run", "parameters": PARAMETERS}
        more = {"tools": [tool]} if self.tools else {}
        return {"model": self.model, "input": list(self.turns), "store": self.store, **more}

    def results(self, *results: tuple[str, str]) -> None:
        for call, text in results:
            self.turns.append({"type": "function_call_output", "call_id": call, "output": text})

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        items: list[Any] = []
        for number, (kind, *step) in enumerate(steps):
            if kind == "text":
                content = [{"type": "output_text", "text": step[0], "annotations": []}]
                items.append(
                    {"type": "message", "id": f"msg_{next(_numbers)}", "role": "assistant",
                     "content": content}
                )  # fmt: skip
            elif kind == "thought":
                items.append(
                    {"type": "reasoning", "id": f"rs_{next(_numbers)}", "summary": [],
                     "encrypted_content": f"sealed {number}"}
                )  # fmt: skip
            else:
                call_id, name, value = step
                items.append(
                    {"type": "function_call", "id": f"fc_{next(_numbers)}", "call_id": call_id,
                     "name": name, "arguments": json.dumps(value)}
                )  # fmt: skip
        usage = {
            "input_tokens": 20, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 29,
        }  # fmt: skip
        response = {
            "id": f"resp_{next(_numbers)}", "object": "response", "status": "completed",
            "model": self.model, "output": items, "usage": usage,
            "tools": asked.body.get("tools"),
        }  # fmt: skip
        if not asked.body.get("stream"):
            return Reply(response)
        begun = {**response, "status": "in_progress", "output": []}
        events: list[Any] = [{"type": "response.created", "response": begun}]
        for place, item in enumerate(items):
            events.append(
                {
                    "type": "response.output_item.added",
                    "output_index": place,
                    "item": {**item, "content": []} if "content" in item else item,
                }
            )
            for part in item.get("content") or ():
                events.append(
                    {
                        "type": "response.output_text.delta",
                        "output_index": place,
                        "item_id": item["id"],
                        "content_index": 0,
                        "delta": part["text"],
                    }
                )
            events.append({"type": "response.output_item.done", "output_index": place,
                           "item": item})  # fmt: skip
        events.append({"type": "response.completed", "response": response})
        return Reply(
            chunks=[
                f"event: {e['type']}\ndata: {json.dumps({**e, 'sequence_number': n})}\n\n".encode()
                for n, e in enumerate(events)
            ]
        )

    def read(self, raw: str, streamed: bool) -> list[Step]:
        response = self._streamed(raw) if streamed else json.loads(raw)
        self.turns += response["output"]
        seen: list[Step] = []
        for item in response["output"]:
            if item["type"] == "message":
                seen.append(("text", item["content"][0]["text"]))
            elif item["type"] == "reasoning":
                seen.append(("thought", ""))
            else:
                value = json.loads(item["arguments"])
                seen.append(("call", item["call_id"], item["name"], value))
        return seen

    def _streamed(self, raw: str) -> Any:
        events = events_of(raw)
        numbers = [event["sequence_number"] for event in events]
        assert numbers == list(range(len(events)))
        ids = {event["response"]["id"] for event in events if "response" in event}
        assert len(ids) == 1
        done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
        places = [e["output_index"] for e in events if e["type"] == "response.output_item.done"]
        assert places == list(range(len(done)))
        assert events[-1]["type"] == "response.completed"
        assert events[-1]["response"]["output"] == done
        return events[-1]["response"]


class GeminiAgent(Agent):
    fake = "gemini"
    model = "gemini-4-argon"
    path = "/v1beta/models/gemini-4-argon:generateContent"
    field = "contents"

    def body(self) -> dict[str, Any]:
        tool = {"functionDeclarations": [{"name": "run", "parameters": PARAMETERS}]}
        more: dict[str, Any] = {"tools": [tool]} if self.tools else {}
        return {"contents": list(self.turns), "metadata": None, **more}

    def person(self, words: str) -> None:
        self.turns.append({"role": "user", "parts": [{"text": words}]})

    def results(self, *results: tuple[str, str]) -> None:
        parts = [
            {"functionResponse": {"name": "run", "response": {"output": text}}}
            for _, text in results
        ]
        self.turns.append({"role": "user", "parts": parts})

    def answer(self, asked: Asked, steps: Sequence[Step]) -> Reply:
        parts: list[Any] = []
        for kind, *step in steps:
            if kind == "text":
                parts.append({"text": step[0]})
            elif kind == "call":
                call = {"name": step[1], "args": step[2]}
                parts.append({"functionCall": call, "thoughtSignature": f"sealed {step[0]}"})
        candidate = {
            "content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0
        }  # fmt: skip
        return as_asked(asked, gemini_response(self.model, candidates=[candidate]))

    def read(self, raw: str, streamed: bool) -> list[Step]:
        messages = events_of(raw) if streamed else [json.loads(raw)]
        assert len({message["responseId"] for message in messages}) == 1
        ends = [m for m in messages if m["candidates"][0].get("finishReason")]
        assert ends == messages[-1:]
        parts = [part for m in messages for part in m["candidates"][0]["content"]["parts"]]
        text = "".join(part["text"] for part in parts if part.get("text"))
        calls = [part for part in parts if "functionCall" in part]
        kept = [{"text": text}] if text else []
        self.turns.append({"role": "model", "parts": [*kept, *calls]})
        return [
            *([("text", text)] if text else []),
            *(("call", "", p["functionCall"]["name"], p["functionCall"]["args"]) for p in calls),
        ]

    def sent_tools(self, asked: Asked) -> list[str]:
        tools = asked.body.get("tools") or ()
        return [one["name"] for tool in tools for one in tool["functionDeclarations"]]


AGENTS = [ClaudeAgent, OpenAIAgent, TranslatedAgent, ResponsesAgent, GeminiAgent]
