"""The three APIs that clients speak, each through its official SDK, driven alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anthropic
import openai

from tests.fakes.answers import Call

Turn = tuple[Any, ...]
"""("system", text), ("user", text), ("calls", text, calls) or ("results", {id: text})."""

TOOLS = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "time": {
        "type": "object",
        "properties": {"zone": {"type": "string"}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}


@dataclass
class Said:
    text: str
    calls: list[Call]
    ending: str
    tokens_in: int
    tokens_out: int


class OpenAIChat:
    endings = {"stop": "stop", "length": "length", "calls": "tool_calls"}

    def __init__(self, address: str, *, streamed: bool) -> None:
        self.sdk = openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)
        self.streamed = streamed

    async def close(self) -> None:
        await self.sdk.close()

    async def say(
        self, model: str, turns: list[Turn], *, tools: bool = False, schema: Any = None
    ) -> Said:
        more: dict[str, Any] = {}
        if tools:
            more["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": parameters}}
                for name, parameters in TOOLS.items()
            ]
        if schema:
            more["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema},
            }
        messages = [m for turn in turns for m in self._messages(turn)]
        if self.streamed:
            async with self.sdk.chat.completions.stream(
                model=model, messages=messages, stream_options={"include_usage": True}, **more
            ) as stream:
                async for _ in stream:
                    pass
                found = stream.current_completion_snapshot
        else:
            found = await self.sdk.chat.completions.create(model=model, messages=messages, **more)
        choice = found.choices[0]
        return Said(
            choice.message.content or "",
            [
                (c.id, c.function.name, json.loads(c.function.arguments))
                for c in choice.message.tool_calls or ()
            ],
            choice.finish_reason,
            found.usage.prompt_tokens,
            found.usage.completion_tokens,
        )

    @staticmethod
    def _messages(turn: Turn) -> list[Any]:
        if turn[0] == "calls":
            calls = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
                for call_id, name, arguments in turn[2]
            ]
            return [{"role": "assistant", "content": turn[1] or None, "tool_calls": calls}]
        if turn[0] == "results":
            return [
                {"role": "tool", "tool_call_id": call_id, "content": text}
                for call_id, text in turn[1].items()
            ]
        return [{"role": turn[0], "content": turn[1]}]


class OpenAIResponses:
    endings = {"stop": "completed", "length": "incomplete", "calls": "completed"}

    def __init__(self, address: str, *, streamed: bool) -> None:
        self.sdk = openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)
        self.streamed = streamed

    async def close(self) -> None:
        await self.sdk.close()

    async def say(
        self, model: str, turns: list[Turn], *, tools: bool = False, schema: Any = None
    ) -> Said:
        more: dict[str, Any] = {"input": [i for turn in turns for i in self._items(turn)]}
        if tools:
            more["tools"] = [
                {"type": "function", "name": name, "parameters": parameters, "strict": False}
                for name, parameters in TOOLS.items()
            ]
        if schema:
            more["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": schema}}
        if self.streamed:
            async with self.sdk.responses.stream(model=model, **more) as stream:
                async for event in stream:
                    last = event
                found = last.response
        else:
            found = await self.sdk.responses.create(model=model, **more)
        return Said(
            found.output_text,
            [
                (item.call_id, item.name, json.loads(item.arguments))
                for item in found.output
                if item.type == "function_call"
            ],
            found.status,
            found.usage.input_tokens,
            found.usage.output_tokens,
        )

    @staticmethod
    def _items(turn: Turn) -> list[Any]:
        if turn[0] == "calls":
            said = [{"role": "assistant", "content": turn[1]}] if turn[1] else []
            return [
                *said,
                *(
                    {
                        "type": "function_call",
                        "call_id": call_id,
                        "name": name,
                        "arguments": json.dumps(arguments),
                    }
                    for call_id, name, arguments in turn[2]
                ),
            ]
        if turn[0] == "results":
            return [
                {"type": "function_call_output", "call_id": call_id, "output": text}
                for call_id, text in turn[1].items()
            ]
        return [{"role": turn[0], "content": turn[1]}]


class AnthropicMessages:
    endings = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}

    def __init__(self, address: str, *, streamed: bool) -> None:
        self.sdk = anthropic.AsyncAnthropic(base_url=address, api_key="any", max_retries=0)
        self.streamed = streamed

    async def close(self) -> None:
        await self.sdk.close()

    async def say(
        self, model: str, turns: list[Turn], *, tools: bool = False, schema: Any = None
    ) -> Said:
        more: dict[str, Any] = {"max_tokens": 1000}
        if tools:
            more["tools"] = [
                {"name": name, "input_schema": parameters} for name, parameters in TOOLS.items()
            ]
        if schema:
            more["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if turns[0][0] == "system":
            more["system"] = turns[0][1]
            turns = turns[1:]
        messages = [self._message(turn) for turn in turns]
        if self.streamed:
            async with self.sdk.messages.stream(model=model, messages=messages, **more) as stream:
                async for _ in stream:
                    pass
                found = await stream.get_final_message()
        else:
            found = await self.sdk.messages.create(model=model, messages=messages, **more)
        usage = found.usage
        return Said(
            "".join(block.text for block in found.content if block.type == "text"),
            [(b.id, b.name, b.input) for b in found.content if b.type == "tool_use"],
            found.stop_reason,
            usage.input_tokens
            + (usage.cache_read_input_tokens or 0)
            + (usage.cache_creation_input_tokens or 0),
            usage.output_tokens,
        )

    @staticmethod
    def _message(turn: Turn) -> Any:
        if turn[0] == "calls":
            said = [{"type": "text", "text": turn[1]}] if turn[1] else []
            calls = [
                {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
                for call_id, name, arguments in turn[2]
            ]
            return {"role": "assistant", "content": [*said, *calls]}
        if turn[0] == "results":
            results = [
                {"type": "tool_result", "tool_use_id": call_id, "content": text}
                for call_id, text in turn[1].items()
            ]
            return {"role": "user", "content": results}
        return {"role": turn[0], "content": turn[1]}


DRIVERS = {"chat": OpenAIChat, "responses": OpenAIResponses, "messages": AnthropicMessages}
