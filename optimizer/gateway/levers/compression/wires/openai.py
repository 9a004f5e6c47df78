"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat/create."""

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
from optimizer.gateway.levers.compression.wires import Body, objects_in
from providers.chat import Thinking, ToolCall
from providers.completion import Completion
from providers.openai.answer import details_of, reasoning_of

# https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools: 128 at most.
_MOST_TOOLS = 120
_REASONING = ("reasoning_details", "reasoning_content", "reasoning")


class OpenAIRequests:
    """The requests of this wire."""

    def takes_tool(self, body: Body) -> bool:
        """Return whether there is room for a tool more; the older form of tools has none."""
        return not body.get("functions") and len(body.get("tools") or ()) < _MOST_TOOLS

    def with_tool(self, body: Body) -> dict[str, Any]:
        """Return the body with the tool."""
        function = {"name": TOOL, "description": DESCRIPTION, "parameters": PARAMETERS}
        tool = {"type": "function", "function": function}
        return {**body, "tools": [*(body.get("tools") or ()), tool]}

    def changed(self, body: Body, change: Change) -> dict[str, Any]:
        """Return the body with changed results and pasted blocks."""
        messages = _messages(body)
        last = max((n for n, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
        calls, sent = Calls(), []
        for number, message in enumerate(messages):
            role, new = message.get("role"), number > last
            if role == "assistant":
                for call in _calls(message):
                    function = call.get("function") or call.get("custom") or {}
                    arguments = function.get("arguments", function.get("input"))
                    calls.add(str(call.get("id")), str(function.get("name")), str(arguments or ""))
            elif role == "tool":
                call_id = str(message.get("tool_call_id"))
                message = _changed(
                    message, lambda t, i=call_id, n=new: change(calls.place(i, t, n))
                )
            elif role == "user":
                message = _changed(message, lambda t, n=new: pasted(t, n, change))
            sent.append(message)
        return {**body, "messages": sent}

    def with_rounds(self, body: Body, rounds: Rounds, result: Result) -> dict[str, Any]:
        """Return the body with hidden rounds."""
        sent: list[Any] = []
        for message in _messages(body):
            if message.get("role") != "assistant":
                sent.append(message)
                continue
            ids = [str(call.get("id")) for call in _calls(message)]
            sent += _split(message, rounds(answer_name(ids, _text(message))), result)
        return {**body, "messages": sent}

    def continued(
        self, body: Body, completion: Completion, calls: Sequence[HiddenCall], result: Result
    ) -> dict[str, Any]:
        """Return the body of the next round."""
        turn = _message_of(completion)
        return {**body, "messages": [*_messages(body), turn, *_results(calls, result)]}


def _messages(body: Body) -> list[Any]:
    return objects_in(body.get("messages"))


def _calls(message: Mapping[str, Any]) -> list[Any]:
    return objects_in(message.get("tool_calls"))


def _changed(message: Any, change: Any) -> Any:
    content = message.get("content")
    if isinstance(content, str):
        sent = change(content)
        return message if sent is content else {**message, "content": sent}
    if not isinstance(content, list):
        return message
    parts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type") == "text":
            text = part.get("text")
            if isinstance(text, str) and (sent := change(text)) is not text:
                part = {**part, "text": sent}
        parts.append(part)
    return {**message, "content": parts}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(p.get("text") or "") for p in content if isinstance(p, Mapping))
    return content if isinstance(content, str) else ""


def _split(message: Any, rounds: Sequence[HiddenRound], result: Result) -> list[Any]:
    """Return the messages that a message of the model was, with the results of hidden calls."""
    turns: list[Any] = []
    rest, at = dict(message), Cut()
    for hidden in rounds:
        calls = [_call(call.id, call.arguments, call.signature) for call in hidden.calls]
        if hidden.joined:
            rest["tool_calls"] = [*_calls(rest), *calls]
            return [*turns, rest, *_results(hidden.calls, result)]
        before: dict[str, Any] = {"role": "assistant", "content": None}
        if (length := hidden.cut.text - at.text) > 0:
            text = _text(rest)
            before["content"] = text[:length]
            rest["content"] = text[length:] or None
        if hidden.cut.thoughts > at.thoughts:
            # The reasoning of all rounds is one field for the client.
            before |= {name: rest.pop(name) for name in _REASONING if name in rest}
        at = hidden.cut
        turns += [{**before, "tool_calls": calls}, *_results(hidden.calls, result)]
    return [*turns, rest] if turns else [message]


def _call(call_id: str, arguments: str, signature: str = "", name: str = TOOL) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments or "{}"}
    call: dict[str, Any] = {"id": call_id, "type": "function", "function": function}
    if signature:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


def _results(calls: Sequence[HiddenCall], result: Result) -> list[Any]:
    return [{"role": "tool", "tool_call_id": call.id, "content": result(call)} for call in calls]


def _message_of(completion: Completion) -> dict[str, Any]:
    """Return an answer as the provider wants it back."""
    if completion.relayed is not None:
        choices = completion.relayed.body.get("choices") or [{}]
        given = choices[0].get("message")
        if isinstance(given, Mapping) and (reasoning_of(given) or details_of(given)):
            return dict(given)
    message: dict[str, Any] = {"role": "assistant", "content": completion.text or None}
    calls = []
    for part in completion.choices[0].parts:
        if isinstance(part, ToolCall):
            calls.append(_call(part.id, part.arguments, part.signature, part.name))
        elif isinstance(part, Thinking):
            if part.details:
                message["reasoning_details"] = part.details
            elif part.text:
                message["reasoning_content"] = part.text
    return {**message, "tool_calls": calls}
