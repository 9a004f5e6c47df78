"""Read the calls of tools in a stream, whatever a server repeats, splits or leaves out.

OpenAI says the id and the name once, and numbers the calls. Others repeat both in each delta
(https://github.com/SillyTavern/SillyTavern/pull/5948), give each delta another id
(https://github.com/poolsideai/pool/issues/9), say the name after the id
(https://github.com/pipecat-ai/pipecat/pull/5023) or in pieces
(https://github.com/NVIDIA-NeMo/Switchyard/pull/785).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from providers.events import Event, ToolArguments, ToolCallStarted
from providers.openai.answer import CallNames, signature_of
from providers.openai.repair import arguments_text, as_calls, new_call_id, repair_call, says_nothing

# The arguments of a call of a freeform tool whose input is empty.
_NO_INPUT = '{"input": ""}'


@dataclass(slots=True)
class _Call:
    """A call so far. ``ending`` completes its arguments, if the model does not say more.

    ``given_id`` is the one that the server gave first, ``id`` that of the client. ``arguments``
    are kept only where there is no ``given_id`` that shows where the next call begins.
    """

    index: int | None
    given_id: str
    id: str
    name: str = ""
    signature: str = ""
    ending: str = "{}"
    started: bool = False
    arguments: list[str] = field(default_factory=list)


class StreamedCalls:
    """The calls of one choice. Deltas are mended in place for clients that use this wire.

    ``offered`` are the names of the request's tools: a name that is another may go on.
    """

    __slots__ = ("_calls", "_choice", "_names", "_offered", "legacy", "repaired")

    def __init__(self, choice: int, names: CallNames | None, offered: frozenset[str]) -> None:
        self._choice = choice
        self._names = names
        self._offered = offered
        self._calls: list[_Call] = []
        self.legacy = False
        self.repaired = False

    def __bool__(self) -> bool:
        """Whether any tool is called by its name."""
        return any(call.name for call in self._calls)

    def feed(self, piece: dict[str, Any]) -> Iterator[Event]:
        """Yield the events of one piece of a call."""
        self.repaired |= repair_call(piece)
        custom = piece.get("custom")
        is_custom = isinstance(custom, dict)
        function: dict[str, Any] = custom if is_custom else piece.get("function") or {}  # type: ignore[assignment]
        given_id = piece.get("id") if isinstance(piece.get("id"), str) else ""
        number = piece.get("index") if type(piece.get("index")) is int else None
        position = self._position(number, given_id or "", function)
        if position < len(self._calls):
            self._go_on(self._calls[position], piece, function)
        else:
            yield from self._start_all()
            self._begin(piece, function, number, given_id or "", is_custom=is_custom)
        if number != position:
            piece["index"], self.repaired = position, True
        call = self._calls[position]
        if not call.started and self._is_whole(call.name):
            yield self._start(position)
        if pieces := function.get("input" if is_custom else "arguments"):
            yield from self._arguments(position, function, pieces, is_custom=is_custom)

    def _begin(
        self,
        piece: dict[str, Any],
        function: dict[str, Any],
        number: int | None,
        given_id: str,
        *,
        is_custom: bool,
    ) -> None:
        if not given_id or any(given_id == other.given_id for other in self._calls):
            piece["id"], self.repaired = new_call_id(), True
        if not isinstance(piece.get("type"), str):
            piece["type"], self.repaired = "function", True
        ending = _NO_INPUT if is_custom else "{}"
        name, signature = function.get("name") or "", signature_of(piece)
        self._calls.append(_Call(number, given_id, piece["id"], name, signature, ending))

    def _go_on(self, call: _Call, piece: dict[str, Any], function: dict[str, Any]) -> None:
        """Take out of a later piece what clients would add to the id and the name once more."""
        if piece.get("id"):
            del piece["id"]
            self.repaired = True
        name = function.get("name")
        if not name:
            return
        if name == call.name or call.started:
            del function["name"]
            self.repaired = True
        else:
            call.name += name

    def _is_whole(self, name: str) -> bool:
        if not name or not self._offered:
            return bool(name)
        name = name if self._names is None else self._names.of(name)[0]
        if name not in self._offered:
            return False
        # "get" may go on as "get_weather" until the arguments begin.
        return not any(other != name and other.startswith(name) for other in self._offered)

    def _start_all(self) -> Iterator[Event]:
        for position, call in enumerate(self._calls):
            if call.name and not call.started:
                yield self._start(position)

    def _start(self, position: int) -> Event:
        call = self._calls[position]
        call.started = True
        name, freeform = call.name, call.ending == _NO_INPUT
        if self._names is not None and not freeform:
            name, freeform = self._names.of(name)
        return ToolCallStarted(position, call.id, name, call.signature, self._choice, freeform)

    def _arguments(
        self, position: int, function: dict[str, Any], pieces: Any, *, is_custom: bool
    ) -> Iterator[Event]:
        call = self._calls[position]
        if call.ending == "{}" and says_nothing(pieces):
            function["arguments"], self.repaired = "", True
            return
        if not call.started:
            yield self._start(position)
        if is_custom:
            beginning = '{"input": "' if call.ending == _NO_INPUT else ""
            pieces = beginning + json.dumps(str(pieces), ensure_ascii=False)[1:-1]
        call.ending = '"}' if is_custom else ""
        if not call.given_id:
            call.arguments.append(pieces)
        yield ToolArguments(position, pieces, self._choice)

    def feed_legacy(self, piece: dict[str, Any]) -> Iterator[Event]:
        """Yield the events of a piece of the only call that the older API has."""
        if piece.get("arguments") is not None and type(piece["arguments"]) is not str:
            piece["arguments"], self.repaired = arguments_text(piece["arguments"]), True
        if not self._calls:
            self.legacy = True
            self._calls.append(_Call(0, "", new_call_id(), str(piece.get("name") or "")))
        if not self._calls[0].started:
            yield self._start(0)
        if piece.get("arguments"):
            self._calls[0].ending = ""
            yield ToolArguments(0, piece["arguments"], self._choice)

    def finish(self, delta: dict[str, Any]) -> Iterator[Event]:
        """Yield the ends of the calls, and complete their arguments in the last delta."""
        yield from self._start_all()
        for position, call in enumerate(self._calls):
            if call.started and call.ending:
                yield ToolArguments(position, call.ending, self._choice)
                if call.ending == "{}":
                    self._complete_arguments(delta, position)
                call.ending = ""

    def _complete_arguments(self, delta: dict[str, Any], position: int) -> None:
        """Give a call without arguments empty ones, in the delta that ends the choice."""
        self.repaired = True
        if self.legacy:
            last = delta.get("function_call")
            last = last if isinstance(last, dict) else {}
            delta["function_call"] = {**last, "arguments": "{}"}
            return
        pieces = delta["tool_calls"] = list(as_calls(delta.get("tool_calls")))
        for piece in pieces:
            if piece.get("index") == position and isinstance(piece.get("function"), dict):
                piece["function"]["arguments"] = "{}"
                return
        pieces.append({"index": position, "function": {"arguments": "{}"}})

    def _position(self, index: int | None, given_id: str, function: dict[str, Any]) -> int:
        """Return the index of the call that a piece continues; the number of calls for a new one.

        Some servers do not number the calls, some give all of them the same number, and some
        the same id; then the piece that has a name begins another call.
        """
        calls, named = self._calls, bool(function.get("name"))
        same = [at for at, known in enumerate(calls) if given_id and known.given_id == given_id]
        if same:
            exact = [at for at in same if index is None or calls[at].index in (None, index)]
            return exact[-1] if exact else len(calls) if named else same[-1]
        for at, known in reversed(list(enumerate(calls))):
            if index is not None and index != known.index:
                continue
            # Without a name, another id is one more for the same call.
            if not (given_id and known.given_id) or (not named and known.name):
                return len(calls) if named and _is_another(known, function) else at
        return len(calls)


def _is_another(call: _Call, function: dict[str, Any]) -> bool:
    """Return whether a piece with a name, but no id that is new, begins a call after ``call``.

    It has another name than one that is whole, or its arguments follow some that are whole.
    """
    if not call.started:
        return False
    if function["name"] != call.name:
        return True
    following = function.get("arguments")
    if not (isinstance(following, str) and following.lstrip()[:1] == "{" and call.arguments):
        return False
    if call.arguments[-1].rstrip()[-1:] != "}":
        return False
    try:
        json.loads("".join(call.arguments))
    except (ValueError, RecursionError):
        return False
    return True
