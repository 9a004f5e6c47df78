"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses/create."""

from __future__ import annotations

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
from optimizer.gateway.levers.compression.wires import Body
from providers.chat import Text, Thinking, ToolCall
from providers.completion import Completion

_MOST_TOOLS = 120
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background")


class ResponsesRequests:
    """The requests of this wire."""

    def takes_tool(self, body: Body) -> bool:
        """Return whether the client sends the whole conversation each time.

        Of what the provider keeps, a later request would not have the originals.
        """
        if body.get("store") is not False or any(body.get(name) for name in _KEPT_ELSEWHERE):
            return False
        return len(body.get("tools") or ()) < _MOST_TOOLS

    def with_tool(self, body: Body) -> dict[str, Any]:
        """Return the body with the tool."""
        tool = {
            "type": "function", "name": TOOL, "description": DESCRIPTION,
            "parameters": PARAMETERS, "strict": False,
        }  # fmt: skip
        return {**body, "tools": [*(body.get("tools") or ()), tool]}

    def changed(self, body: Body, change: Change) -> dict[str, Any]:
        """Return the body with changed results and pasted blocks."""
        items = body.get("input")
        if isinstance(items, str):
            return {**body, "input": pasted(items, True, change)}
        items = items if isinstance(items, list) else []
        last = max((n for n, item in enumerate(items) if _of_model(item)), default=-1)
        calls, sent = Calls(), []
        for number, item in enumerate(items):
            new = number > last
            kind = _kind(item)
            if kind.endswith("_call"):
                arguments = item.get("arguments", item.get("input", item.get("action")))
                calls.add(_call_id(item), str(item.get("name") or kind), str(arguments or ""))
            elif kind.endswith("_call_output"):
                call_id = _call_id(item)
                item = _changed(
                    item, "output", lambda t, i=call_id, n=new: change(calls.place(i, t, n))
                )
            elif kind == "message" and item.get("role") == "user":
                item = _changed(item, "content", lambda t, n=new: pasted(t, n, change))
            sent.append(item)
        return {**body, "input": sent}

    def with_rounds(self, body: Body, rounds: Rounds, result: Result) -> dict[str, Any]:
        """Return the body with hidden rounds."""
        items = body.get("input")
        if not isinstance(items, list):
            return dict(body)
        sent: list[Any] = []
        turn: list[Any] = []
        for item in items:
            if _of_model(item):
                turn.append(item)
                continue
            sent += _split(turn, rounds, result)
            turn = []
            sent.append(item)
        return {**body, "input": [*sent, *_split(turn, rounds, result)]}

    def continued(
        self, body: Body, completion: Completion, calls: Sequence[HiddenCall], result: Result
    ) -> dict[str, Any]:
        """Return the body of the next round."""
        items = body.get("input")
        if not isinstance(items, list):
            items = [{"role": "user", "content": items}] if items else []
        return {
            **body,
            "input": [*items, *_answer_items(completion), *_results(calls, result)],
        }


def _kind(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, Mapping) else ""
    return kind if isinstance(kind, str) else ""


def _of_model(item: Any) -> bool:
    kind = _kind(item)
    if kind == "message":
        return item.get("role") == "assistant"
    return kind == "reasoning" or kind.endswith("_call")


def _call_id(item: Mapping[str, Any]) -> str:
    return str(item.get("call_id") or item.get("id") or "")


def _changed(item: Any, name: str, change: Any) -> Any:
    value = item.get(name)
    if isinstance(value, str):
        sent = change(value)
        return item if sent is value else {**item, name: sent}
    if not isinstance(value, list):
        return item
    parts = []
    for part in value:
        if isinstance(part, Mapping) and part.get("type") in {"input_text", "output_text", "text"}:
            text = part.get("text")
            if isinstance(text, str) and (sent := change(text)) is not text:
                part = {**part, "text": sent}
        parts.append(part)
    return {**item, name: parts}


def _text(item: Any) -> str:
    if _kind(item) != "message":
        return ""
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def _split(turn: Sequence[Any], rounds: Rounds, result: Result) -> list[Any]:
    """Return the items of one turn of the model, with hidden calls and their results."""
    if not turn:
        return []
    ids = [_call_id(item) for item in turn if _kind(item).endswith("_call")]
    hidden_rounds: Sequence[HiddenRound] = rounds(answer_name(ids, "".join(map(_text, turn))))
    sent: list[Any] = []
    rest, at = list(turn), Cut()
    for hidden in hidden_rounds:
        calls = [_call(call.id, call.arguments) for call in hidden.calls]
        if hidden.joined:
            return [*sent, *rest, *calls, *_results(hidden.calls, result)]
        cut = Cut(*(one - other for one, other in zip(hidden.cut, at, strict=True)))
        count = _items_until(rest, cut)
        at = hidden.cut
        sent += [*rest[:count], *calls, *_results(hidden.calls, result)]
        rest = rest[count:]
    return [*sent, *rest]


def _items_until(items: Sequence[Any], cut: Cut) -> int:
    """Return how many items come before ``cut``: rounds end where items do."""
    text, thoughts, calls = cut
    for number, item in enumerate(items):
        kind = _kind(item)
        if text <= 0 and calls <= 0 and (thoughts <= 0 or kind != "reasoning"):
            return number
        text -= len(_text(item))
        thoughts -= kind == "reasoning"
        calls -= kind.endswith("_call")
    return len(items)


def _call(call_id: str, arguments: Any) -> dict[str, Any]:
    return {
        "type": "function_call", "call_id": call_id, "name": TOOL, "arguments": arguments or "{}"
    }  # fmt: skip


def _results(calls: Sequence[HiddenCall], result: Result) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": call.id, "output": result(call)}
        for call in calls
    ]


def _answer_items(completion: Completion) -> Any:
    """Yield the items of an answer as the provider wants them back: as it gave them."""
    given = completion.relayed.body.get("output") if completion.relayed is not None else None
    if isinstance(given, list):
        for item in given:
            hidden = _kind(item) == "function_call" and item.get("name") == TOOL
            yield _call(_call_id(item), item.get("arguments")) if hidden else item
        return
    for part in completion.choices[0].parts:
        if isinstance(part, Text):
            content = [{"type": "output_text", "text": part.text}]
            yield {"type": "message", "role": "assistant", "content": content}
        elif isinstance(part, Thinking):
            if isinstance(part.details, Mapping):
                yield dict(part.details)
        elif isinstance(part, ToolCall):
            yield {**_call(part.id, part.arguments), "name": part.name}
        elif part.wire == "openai-responses":
            whole = part.value.get("type") not in {"output_text", "refusal"}
            message = {"type": "message", "role": "assistant", "content": [dict(part.value)]}
            yield dict(part.value) if whole else message
