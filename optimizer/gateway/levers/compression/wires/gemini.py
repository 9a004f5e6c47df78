"""Gemini's generateContent: https://ai.google.dev/api/generate-content."""

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
    unnamed_call,
)
from optimizer.gateway.levers.compression.places import (
    Change,
    TextPlace,
    is_exact,
    label_of,
    pasted,
)
from optimizer.gateway.levers.compression.texts.forms import TOOL
from optimizer.gateway.levers.compression.wires import Body, objects_in
from providers.chat import Text, Thinking, ToolCall
from providers.completion import Completion

_MOST_TOOLS = 120
_DEEPEST = 4
_DECLARATIONS = ("functionDeclarations", "function_declarations")
# Google's schemas know no additionalProperties: https://ai.google.dev/api/caching#Schema
_PARAMETERS = {k: v for k, v in PARAMETERS.items() if k != "additionalProperties"}


class GeminiRequests:
    """The requests of this wire."""

    def takes_tool(self, body: Body) -> bool:
        """Return whether all tools are functions, and none are kept with a cached content.

        https://ai.google.dev/gemini-api/docs/caching: a request with a cached content has no
        tools of its own. Tools that Google runs go with no functions.
        """
        if body.get("cachedContent") or body.get("cached_content"):
            return False
        tools = _tools(body)
        count = sum(len(tool.get(name) or ()) for tool in tools for name in _DECLARATIONS)
        return count < _MOST_TOOLS and all(set(tool) <= set(_DECLARATIONS) for tool in tools)

    def with_tool(self, body: Body) -> dict[str, Any]:
        """Return the body with the tool, among the functions of the client."""
        tool = {"name": TOOL, "description": DESCRIPTION, "parameters": _PARAMETERS}
        tools: list[Any] = list(_tools(body))
        for number, given in enumerate(tools):
            for name in _DECLARATIONS:
                if given.get(name):
                    tools[number] = {**given, name: [*given[name], tool]}
                    return {**body, "tools": tools}
        return {**body, "tools": [*tools, {"functionDeclarations": [tool]}]}

    def changed(self, body: Body, change: Change) -> dict[str, Any]:
        """Return the body with changed texts in the responses of functions and pasted blocks."""
        contents = _contents(body)
        last = max((n for n, c in enumerate(contents) if c.get("role") == "model"), default=-1)
        arguments: dict[str, str] = {}
        sent = []
        for number, content in enumerate(contents):
            parts = content.get("parts")
            if isinstance(parts, list) and content.get("role") == "model":
                for part in parts:
                    if call := _named(part, "functionCall", "function_call"):
                        args = json.dumps(call.get("args"), ensure_ascii=False)
                        arguments[str(call.get("name"))] = args
            elif isinstance(parts, list):
                new = number > last
                changed = [_changed(part, new, arguments, change) for part in parts]
                content = {**content, "parts": changed}
            sent.append(content)
        return {**body, "contents": sent} if sent else dict(body)

    def with_rounds(self, body: Body, rounds: Rounds, result: Result) -> dict[str, Any]:
        """Return the body with hidden rounds."""
        sent: list[Any] = []
        waiting: list[Any] = []
        turn: list[Any] = []
        contents = _contents(body)
        for number, content in enumerate(contents):
            if content.get("role") == "model":
                turn.append(content)
                following = contents[number + 1] if number + 1 < len(contents) else {}
                if following.get("role") != "model":
                    turns, waiting = _split(turn, rounds, result)
                    sent += turns
                    turn = []
                continue
            if waiting and isinstance(content.get("parts"), list):
                content, waiting = {**content, "parts": [*content["parts"], *waiting]}, []
            sent.append(content)
        return {**body, "contents": sent} if sent else dict(body)

    def continued(
        self, body: Body, completion: Completion, calls: Sequence[HiddenCall], result: Result
    ) -> dict[str, Any]:
        """Return the body of the next round."""
        turn = {"role": "model", "parts": list(_answer_parts(completion))}
        results = {"role": "user", "parts": _results(calls, result)}
        return {**body, "contents": [*_contents(body), turn, results]}


def _tools(body: Body) -> list[Any]:
    tools = body.get("tools")
    return objects_in(tools if isinstance(tools, list) else [tools] if tools else [])


def _contents(body: Body) -> list[Any]:
    contents = body.get("contents")
    if isinstance(contents, str):
        return [{"role": "user", "parts": [{"text": contents}]}]
    return objects_in(contents if isinstance(contents, list) else [contents])


def _named(part: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        value = part.get(name) if isinstance(part, Mapping) else None
        if isinstance(value, Mapping):
            return value
    return {}


def _changed(part: Any, new: bool, arguments: Mapping[str, str], change: Change) -> Any:
    if isinstance(part, Mapping) and isinstance(text := part.get("text"), str):
        sent = pasted(text, new, change)
        return part if sent is text else {**part, "text": sent}
    for name in ("functionResponse", "function_response"):
        given = _named(part, name)
        if not given:
            continue
        function = str(given.get("name"))
        called = arguments.get(function, "")
        exact, label = is_exact(function, called), label_of(function, called)

        def write(text: str, exact: bool = exact, label: str = label) -> str:
            return change(TextPlace(text, new, exact, label))

        return {**part, name: {**given, "response": _texts(given.get("response"), write, 0)}}
    return part


def _texts(value: Any, write: Any, depth: int) -> Any:
    if isinstance(value, str):
        return write(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {name: _texts(inner, write, depth + 1) for name, inner in value.items()}
    if depth < _DEEPEST and isinstance(value, list):
        return [_texts(inner, write, depth + 1) for inner in value]
    return value


def _parts(turn: Sequence[Any]) -> list[Any]:
    every: list[Any] = []
    for content in turn:
        parts = content.get("parts")
        every += parts if isinstance(parts, list) else [parts]
    return objects_in(every)


def _said(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) and not part.get("thought") else ""


def _split(turn: Sequence[Any], rounds: Rounds, result: Result) -> tuple[list[Any], list[Any]]:
    """Return the contents of one turn of the model, and the responses that the next one has."""
    parts = _parts(turn)
    called = [_named(part, "functionCall", "function_call") for part in parts]
    text = "".join(map(_said, parts))
    names = [
        str(call.get("id") or unnamed_call(str(call.get("name")), call.get("args") or {}))
        for call in called
        if call
    ]
    hidden_rounds: Sequence[HiddenRound] = rounds(answer_name(names, text))
    turns: list[Any] = []
    rest, at = parts, Cut()
    for hidden in hidden_rounds:
        calls = [_call(call.arguments, call.signature) for call in hidden.calls]
        if hidden.joined:
            return [*turns, {"role": "model", "parts": [*rest, *calls]}], _results(
                hidden.calls, result
            )
        cut = Cut(*(one - other for one, other in zip(hidden.cut, at, strict=True)))
        before, rest = _until(rest, cut)
        at = hidden.cut
        turns.append({"role": "model", "parts": [*before, *calls]})
        turns.append({"role": "user", "parts": _results(hidden.calls, result)})
    return ([*turns, {"role": "model", "parts": rest}] if turns else list(turn)), []


def _until(parts: Sequence[Any], cut: Cut) -> tuple[list[Any], list[Any]]:
    text, calls = cut.text, cut.calls
    before: list[Any] = []
    for number, part in enumerate(parts):
        if text <= 0 and calls <= 0 and not (part.get("thought") and cut.thoughts):
            return before, list(parts[number:])
        words = _said(part)
        if len(words) > text and words:
            pieces = [{"text": words[:text]}] if text else []
            return [*before, *pieces], [{**part, "text": words[text:]}, *parts[number + 1 :]]
        text -= len(words)
        calls -= bool(_named(part, "functionCall", "function_call"))
        before.append(part)
    return before, []


def _call(arguments: str, signature: str = "", name: str = TOOL) -> dict[str, Any]:
    call = {"functionCall": {"name": name, "args": ToolCall("", name, arguments).input}}
    return {**call, "thoughtSignature": signature} if signature else call


def _results(calls: Sequence[HiddenCall], result: Result) -> list[Any]:
    return [
        {"functionResponse": {"name": TOOL, "response": {"output": result(call)}}} for call in calls
    ]


def _answer_parts(completion: Completion) -> Any:
    """Yield the parts of an answer as the provider wants them back."""
    for part in completion.choices[0].parts:
        if isinstance(part, Text):
            yield {"text": part.text}
        elif isinstance(part, Thinking):
            thought = {"text": part.text, "thought": True} if part.text else {"text": ""}
            if part.text or part.signature:
                yield {**thought, **_signature(part.signature)}
        elif isinstance(part, ToolCall):
            yield _call(part.arguments, part.signature, part.name)
        elif part.wire == "gemini":
            yield dict(part.value)


def _signature(value: str) -> dict[str, str]:
    return {"thoughtSignature": value} if value else {}
