"""What all strict fakes share: they answer as told, sign what they think, and check what comes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.server import Asked, Reply

DONE, WELCOME = "It is sunny in Paris.", "You are welcome."
Entry = tuple[Any, ...]
"""("system" or "user" or "assistant" or "thinking", text), ("image",), ("call", name, arguments),
("result", text, whether it is an error), or ("signature", text): one piece of a conversation, in
the words of no wire."""


@dataclass(frozen=True)
class Answer:
    """What to answer: a text, calls of tools (name, arguments), or both."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


class Refused(Exception):
    """The provider refuses the request, in these words."""


class Author:
    """A provider's model.

    ``will`` queues answers; without any it calls the tool ``weather`` where there is one, and
    answers its result. ``written`` is what the last answer holds, ``refusals`` are the words
    of all refusals, ``history`` is the conversation as the last request told it.
    """

    def __init__(self, provider: str, model: str) -> None:
        self.provider, self.model = provider, model
        self.written: list[Entry] = []
        self.history: list[Entry] = []
        self.refusals: list[str] = []
        self._answers: deque[Answer] = deque()
        self._signed: dict[str, str] = {}
        self._calls: set[str] = set()

    def will(self, answer: Answer) -> None:
        self._answers.append(answer)

    def wire(self, asked: Asked) -> Reply:
        self.written = []
        try:
            self.history = joined(self.read(asked))
        except Refused as refusal:
            self.refusals.append(f"{self.provider}: {refusal}")
            return Reply(self.error(str(refusal)), 400)
        answer = self._answers.popleft() if self._answers else self._by_itself(asked)
        return self.write(asked, answer)

    def _by_itself(self, asked: Asked) -> Answer:
        if self.history[-1][0] == "result":
            return Answer(DONE)
        offered = asked.body.get("tools") or asked.body.get("thread")
        if offered and not any(entry[0] == "call" for entry in self.history):
            return Answer("I look.", (("weather", {"city": "Paris"}),))
        return Answer(WELCOME)

    def read(self, asked: Asked) -> list[Entry]:
        """Return the conversation of a request; raises :class:`Refused`."""
        raise NotImplementedError

    def write(self, asked: Asked, answer: Answer) -> Reply:
        """Return the answer in the wire's form, and note in ``written`` what it holds."""
        raise NotImplementedError

    def error(self, message: str) -> dict[str, Any]:
        """Return the body of an error of status 400."""
        raise NotImplementedError

    def sign(self, text: str) -> str:
        signature = f"Sig{self.provider}{len(self._signed)}" + "Ab0/" * 8
        self._signed[signature] = text
        return signature

    def new_call(self, prefix: str) -> str:
        call_id = f"{prefix}{self.provider}{len(self._calls)}"
        self._calls.add(call_id)
        return call_id

    def own_call(self, call_id: str) -> bool:
        """Return whether this model made the call."""
        return call_id in self._calls

    def check_signature(self, signature: str, text: str | None = None) -> None:
        """Refuse a signature that is not of this model, or not of ``text``."""
        if signature not in self._signed:
            raise Refused(f"Invalid signature: {signature[:40]}")
        if text is not None and self._signed[signature] != text:
            raise Refused(f"Signed text was changed: {text!r}")


def only(fields: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse fields that are not ``known``."""
    if unknown := set(fields) - set(known):
        raise Refused(f"{where}: unknown fields {sorted(unknown)}")


def check_name(name: str, pattern: str) -> None:
    if not re.fullmatch(pattern, name):
        raise Refused(f"Invalid name of a tool: {name!r}")


def result(text: str) -> Entry:
    """The result of a tool on a wire that has no field for errors."""
    return ("result", text.removeprefix("Error: "), text.startswith("Error: "))


def joined(entries: Iterable[Entry]) -> list[Entry]:
    """The same conversation with texts of an assistant that follow each other in one."""
    found: list[Entry] = []
    for entry in entries:
        if found and entry[0] == found[-1][0] == "assistant":
            found[-1] = ("assistant", found[-1][1] + entry[1])
        else:
            found.append(entry)
    return found


def check_results(calls: Iterable[str], results: Iterable[str]) -> None:
    """Refuse calls without a result right after them, and results without a call."""
    if sorted(calls) != sorted(results):
        raise Refused(f"Calls {sorted(calls)} have results {sorted(results)}")
