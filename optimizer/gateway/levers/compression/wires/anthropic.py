"""Anthropic's Messages API: https://docs.anthropic.com/en/api/messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.gateway.levers.compression.hidden import (
    DESCRIPTION,
    PARAMETERS,
    Cut,
    HiddenCall,
    HiddenRound,
    Result,
    Rounds,
    answer_name,
)
from optimizer.gateway.levers.compression.places import Calls, Change, pasted
from optimizer.gateway.levers.compression.texts.forms import TOOL
from optimizer.gateway.levers.compression.wires import Body, objects_in
from providers.chat import Text, Thinking, ToolCall
from providers.completion import Completion

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_MOST_TOOLS = 120


class AnthropicRequests:
    """The requests of this wire."""

    def takes_tool(self, body: Body) -> bool:
        """Return whether there is room for a tool more."""
        return len(body.get("tools") or ()) < _MOST_TOOLS

    def with_tool(self, body: Body) -> dict[str, Any]:
        """Return the body with the tool."""
        tool = {"name": TOOL, "description": DESCRIPTION, "input_schema": PARAMETERS}
        return {**body, "tools": [*(body.get("tools") or ()), tool]}

    def changed(self, body: Body, change: Change) -> dict[str, Any]:
        """Return the body with changed results and pasted blocks."""
        messages = _messages(body)
        last = max((n for n, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
        calls, sent = Calls(), []
        for number, message in enumerate(messages):
            content = message.get("content")
            if message.get("role") == "assistant":
                for block in _blocks(content):
                    if block.get("type") == "tool_use":
                        arguments = json.dumps(block.get("input"), ensure_ascii=False)
                        calls.add(str(block.get("id")), str(block.get("name")), arguments)
            elif message.get("role") == "user":
                new = number > last
                if isinstance(content, str):
                    message = {**message, "content": pasted(content, new, change)}
                elif isinstance(content, list):
                    blocks = [_changed(block, new, calls, change) for block in content]
                    message = {**message, "content": blocks}
            sent.append(message)
        return {**body, "messages": sent}

    def with_rounds(self, body: Body, rounds: Rounds, result: Result) -> dict[str, Any]:
        """Return the body with hidden rounds."""
        sent: list[Any] = []
        waiting: list[Any] = []
        for message in _messages(body):
            content = message.get("content")
            if message.get("role") == "assistant":
                blocks = _blocks(content)
                hidden = rounds(_name_of(content, blocks))
                turns, waiting = _split(message, blocks, hidden, result)
                sent += turns
                continue
            if waiting and message.get("role") == "user":
                own = content if isinstance(content, list) else [{"type": "text", "text": content}]
                message, waiting = {**message, "content": [*waiting, *own]}, []
            sent.append(message)
        return {**body, "messages": sent}

    def continued(
        self, body: Body, completion: Completion, calls: Sequence[HiddenCall], result: Result
    ) -> dict[str, Any]:
        """Return the body of the next round."""
        turn = {"role": "assistant", "content": list(_answer_blocks(completion))}
        results = {"role": "user", "content": _results(calls, result)}
        return {**body, "messages": [*_messages(body), turn, results]}


def _messages(body: Body) -> list[Any]:
    return objects_in(body.get("messages"))


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return objects_in(content)


def _changed(block: Any, new: bool, calls: Calls, change: Change) -> Any:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind == "text" and isinstance(text := block.get("text"), str):
        sent = pasted(text, new, change)
        return block if sent is text else {**block, "text": sent}
    if kind != "tool_result":
        return block
    call_id, content = str(block.get("tool_use_id")), block.get("content")
    if isinstance(content, str):
        sent = change(calls.place(call_id, content, new))
        return block if sent is content else {**block, "content": sent}
    if not isinstance(content, list):
        return block
    parts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type") == "text":
            text = part.get("text")
            if isinstance(text, str) and (s := change(calls.place(call_id, text, new))) is not text:
                part = {**part, "text": s}
        parts.append(part)
    return {**block, "content": parts}


def _name_of(content: Any, blocks: Sequence[Any]) -> str:
    ids = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
    return answer_name(ids, "".join(b.get("text") or "" for b in blocks if b.get("type") == "text"))


def _split(
    message: Any, blocks: Sequence[Any], rounds: Sequence[HiddenRound], result: Result
) -> tuple[list[Any], list[Any]]:
    rest, turns, at = list(blocks), [], Cut()
    for hidden in rounds:
        calls = [_call_block(call.id, call.arguments) for call in hidden.calls]
        if hidden.joined:
            turns.append({**message, "content": [*rest, *calls]})
            return turns, _results(hidden.calls, result)
        cut = Cut(*(one - other for one, other in zip(hidden.cut, at, strict=True)))
        before, rest = _until(rest, cut)
        at = hidden.cut
        turns.append({**message, "content": [*before, *calls]})
        turns.append({"role": "user", "content": _results(hidden.calls, result)})
    return [*turns, {**message, "content": rest}] if turns else [message], []


def _until(blocks: Sequence[Any], cut: Cut) -> tuple[list[Any], list[Any]]:
    """Return the blocks before ``cut`` and those after it."""
    text, thoughts, calls = cut
    before: list[Any] = []
    for number, block in enumerate(blocks):
        kind = block.get("type")
        if text <= 0 and calls <= 0 and (thoughts <= 0 or kind not in _THOUGHTS):
            return before, list(blocks[number:])
        if kind == "text":
            words = block.get("text") or ""
            if len(words) > text:
                pieces = [{"type": "text", "text": words[:text]}] if text else []
                rest = {**block, "text": words[text:]}
                return [*before, *pieces], [rest, *blocks[number + 1 :]]
            text -= len(words)
        elif kind in _THOUGHTS:
            thoughts -= 1
        elif kind == "tool_use":
            calls -= 1
        before.append(block)
    return before, []


def _call_block(call_id: str, arguments: str, name: str = TOOL) -> dict[str, Any]:
    value = ToolCall(call_id, name, arguments).input
    return {"type": "tool_use", "id": call_id, "name": name, "input": value}


def _results(calls: Sequence[HiddenCall], result: Result) -> list[Any]:
    return [{"type": "tool_result", "tool_use_id": c.id, "content": result(c)} for c in calls]


def _answer_blocks(completion: Completion) -> Any:
    """Yield the blocks of an answer as the provider wants them back."""
    for part in completion.choices[0].parts:
        if isinstance(part, Text):
            if part.text:
                yield {"type": "text", "text": part.text}
        elif isinstance(part, Thinking):
            if part.redacted:
                yield {"type": "redacted_thinking", "data": part.redacted}
            elif part.signature:
                yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
        elif isinstance(part, ToolCall):
            yield _call_block(part.id, part.arguments, part.name)
        elif part.wire == "anthropic":
            yield dict(part.value)
