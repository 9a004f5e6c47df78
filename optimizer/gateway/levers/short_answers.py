"""The lever of short answers: a rule's note on length or form goes out behind the user's words.

It stands at the end of the last turn of the user, so that all before it stays as it is in the
provider's prompt cache. In the next turn the client sends this one without the note, and from
there on the provider reads it anew: one turn, not the whole conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.domain.turns import KEEP_ALIVE, PROBE
from optimizer.gateway.levers.plans import Plan
from providers.chat import Chat, Message, Text
from providers.values import changed
from routing.models import RoutingDecision


class ShortAnswersLever:
    """Adds the note of the first rule that has one."""

    name = "short_answers"

    def plan(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, options: Mapping[str, Any]
    ) -> Plan | None:
        """Return the plan of a request that a rule has a note for, ``None`` for others.

        Requests with tools or with a form of output get none, unless the rule says so.
        """
        rule, request = analyzed.effect.noted, analyzed.request
        if rule is None or request.turn in (KEEP_ALIVE, PROBE):
            return None
        chat = request.chat
        if (chat.tools or chat.output is not None) and not rule.note_everywhere:
            return None
        noted = with_note(chat, rule.answer_note)
        if noted is None:
            return None

        def apply(other: GatewayRequest) -> GatewayRequest:
            # Another lever may have changed the chat since.
            changed_chat = with_note(other.chat, rule.answer_note)
            return other if changed_chat is None else replace(other, chat=changed_chat)

        return Plan(apply, {"rule": rule.name}, decision.metadata.get("cost_estimate"))


def with_note(chat: Chat, note: str) -> Chat | None:
    """Return ``chat`` with ``note`` behind the user's last words.

    ``None`` if the chat does not end with words of the user, or cannot be changed on its wire.
    """
    last = chat.messages[-1] if chat.messages else None
    if last is None or last.role != "user" or not last.text.strip():
        return None
    messages = (*chat.messages[:-1], _noted(last, note))
    source = chat.source
    if source is None:
        return changed(chat, messages=messages)
    writer = _WRITERS.get(source.wire)
    body = writer(source.body, note) if writer is not None else None
    if body is None:
        return None
    return changed(chat, messages=messages, source=changed(source, body=body))


def _noted(message: Message, note: str) -> Message:
    return changed(message, parts=(*message.parts, Text(note)))


def _messages(name: str, part: Callable[[str], dict[str, Any]]) -> Any:
    """Return a writer for wires whose turns have a ``content`` of text or of parts."""

    def write(body: Mapping[str, Any], note: str) -> dict[str, Any] | None:
        turns = body.get(name)
        if isinstance(turns, str):
            return {**body, name: f"{turns}\n\n{note}"}
        if not isinstance(turns, list) or not isinstance(turns[-1], Mapping):
            return None
        last = turns[-1]
        content = last.get("content")
        if last.get("role") != "user":
            return None
        if isinstance(content, str):
            content = f"{content}\n\n{note}"
        elif isinstance(content, list):
            content = [*content, part(note)]
        else:
            return None
        return {**body, name: [*turns[:-1], {**last, "content": content}]}

    return write


def _gemini(body: Mapping[str, Any], note: str) -> dict[str, Any] | None:
    turns = body.get("contents")
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(turns, list) or not isinstance(last, Mapping):
        return None
    parts = last.get("parts")
    if last.get("role", "user") != "user" or not isinstance(parts, list):
        return None
    return {**body, "contents": [*turns[:-1], {**last, "parts": [*parts, {"text": note}]}]}


_WRITERS = {
    "openai": _messages("messages", lambda note: {"type": "text", "text": note}),
    "openai-responses": _messages("input", lambda note: {"type": "input_text", "text": note}),
    "anthropic": _messages("messages", lambda note: {"type": "text", "text": note}),
    "gemini": _gemini,
}
