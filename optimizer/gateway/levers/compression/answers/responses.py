"""OpenAI's responses: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.gateway.levers.compression.answers.anthropic import numbered
from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.events import Relayed

_BEGINNINGS = frozenset({"response.created", "response.in_progress", "response.queued"})


class ResponsesAnswers:
    """The answers of this wire."""

    def merged(self, bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the last response with the visible items of all."""
        items = [item for body in bodies for item in body.get("output") or ()]
        shown = [item for item in items if not _is_hidden(item)]
        return {**_as_asked(bodies[-1]), "id": bodies[0].get("id"), "output": shown}

    def stream(self) -> ResponsesStreams:
        """Return the merger of streams."""
        return ResponsesStreams()


class ResponsesStreams:
    """Leaves hidden items out and numbers the others, and all events, anew."""

    def __init__(self) -> None:
        self._first = True
        self._id: Any = None
        self._sequence = 0
        self._shown = 0
        self._places: dict[Any, int | None] = {}
        self._items: list[Any] = []
        self._round: list[Any] = []
        self._held: list[Relayed] = []

    def feed(self, message: Relayed) -> list[Relayed]:
        """Return what the client gets now."""
        data = message.data
        if data is None:
            return [message]
        kind, response = data.get("type") or message.name, data.get("response")
        if isinstance(response, Mapping):
            return self._about_all(message, data, kind, response)
        place, item = data.get("output_index"), data.get("item")
        if place is None:
            return [self._sent(message, dict(data))]
        shown, done = self._place(place, item), kind == "response.output_item.done"
        if done:
            self._round.append(item)
        if shown is None:
            return []
        if done:
            self._items.append(item)
        return [self._sent(message, {**data, "output_index": shown})]

    def _about_all(
        self, message: Relayed, data: Mapping[str, Any], kind: str, response: Mapping[str, Any]
    ) -> list[Relayed]:
        """Return what the client gets of a message about the response as a whole."""
        if self._id is None:
            self._id = response.get("id")
        if kind not in _BEGINNINGS:
            self._held.append(message)
            return []
        if not self._first:
            return []
        return [self._sent(message, {**data, "response": _as_asked(response)})]

    def _place(self, place: Any, item: Any) -> int | None:
        """Return where an item stands for the client, ``None`` for a hidden one."""
        if place not in self._places:
            hidden = _is_hidden(item)
            self._places[place] = None if hidden else self._shown
            self._shown += not hidden
        return self._places[place]

    def _sent(self, message: Relayed, data: dict[str, Any]) -> Relayed:
        if "sequence_number" in data:
            data["sequence_number"] = self._sequence
            self._sequence += 1
        return message if data == message.data else numbered(message, data)

    def next_round(self) -> list[Relayed]:
        """Forget the ending; items that only it names belong to the answer."""
        self._first = False
        self._held.clear()
        self._places.clear()
        self._round = []
        return []

    def round_body(self) -> Mapping[str, Any] | None:
        """Return the items of the round."""
        return {"output": list(self._round)} if self._round else None

    def endings(self) -> list[Relayed]:
        """Return the ending of the last round, with the items of all."""
        sent = []
        for message in self._held:
            data = dict(message.data or {})
            response = _as_asked(data["response"])
            given = [item for item in response.get("output") or () if not _is_hidden(item)]
            if len(self._items) > len(given) or self._first:
                given = self._items or given
            if self._id is not None:
                response["id"] = self._id
            if "output" in response:
                response["output"] = given
            sent.append(self._sent(message, {**data, "response": response}))
        return sent


def _is_hidden(item: Any) -> bool:
    called = isinstance(item, Mapping) and item.get("type") == "function_call"
    return called and item.get("name") == TOOL


def _as_asked(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response without the gateway's own tool among those that it repeats."""
    tools = response.get("tools")
    if not isinstance(tools, list):
        return dict(response)
    named = [t for t in tools if not (isinstance(t, Mapping) and t.get("name") == TOOL)]
    return {**response, "tools": named}
