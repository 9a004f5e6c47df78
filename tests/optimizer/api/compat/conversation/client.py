"""A client that keeps its conversation as the official SDK of its API would: with every field."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.answers import Call

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SYSTEM = "You are a careful assistant."
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
MARK = {"type": "ephemeral"}
"""Where the prompt is to be cached up to, in the APIs that have such marks."""


@dataclass
class Said:
    """What the client knows of an answer."""

    status: int
    text: str = ""
    calls: list[Call] = field(default_factory=list)
    error: str = ""


class ConversationClient:
    """One conversation over one API.

    ``thinks`` asks for reasoning, ``marks`` sets marks for caches on the system prompt and the
    last message, ``tags`` are sent with each request.
    """

    path: str
    tells_errors = False
    """Whether the API has a field for results that are errors."""

    def __init__(self, http: httpx.AsyncClient, model: str, *, streamed: bool) -> None:
        self.http, self.model, self.streamed = http, model, streamed
        self.thinks = self.marks = False
        self.tags: list[str] = []
        self.history: list[dict[str, Any]] = []

    async def ask(self, text: str, picture: str = "") -> Said:
        return await self._send([self.question(text, picture)])

    async def give(self, results: dict[str, tuple[str, bool]], calls: list[Call]) -> Said:
        """Hand in the results of ``calls``, by id: the text and whether it is an error."""
        return await self._send(self.results(results, {call[0]: call[1] for call in calls}))

    async def _send(self, turn: list[dict[str, Any]]) -> Said:
        body = self.body([*self.history, *turn])
        if self.tags:
            body["optimizer"] = {"tags": self.tags}
        reply = await self.http.post(self.path, json=body, headers={"cache-control": "no-store"})
        if reply.status_code != 200:
            return Said(reply.status_code, error=json.dumps(reply.json()))
        if self.streamed:
            assert reply.headers["content-type"].startswith("text/event-stream")
            answer = self.answer_of_stream(_events(reply.text))
        else:
            answer = self.answer(reply.json())
        self.history += [*turn, *answer]
        said = Said(200)
        for item in answer:
            self.read(item, said)
        return said

    def body(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        raise NotImplementedError

    def question(self, text: str, picture: str) -> dict[str, Any]:
        raise NotImplementedError

    def results(
        self, results: dict[str, tuple[str, bool]], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        raise NotImplementedError

    def answer(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what the SDK's user appends to the conversation for a whole answer."""
        raise NotImplementedError

    def answer_of_stream(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the SDK's user appends to the conversation for a streamed answer."""
        raise NotImplementedError

    def read(self, item: dict[str, Any], said: Said) -> None:
        """Add to ``said`` what an item of an answer says."""
        raise NotImplementedError


def _events(text: str) -> list[dict[str, Any]]:
    lines = (line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: "))
    return [json.loads(line) for line in lines if line.strip() != "[DONE]"]
