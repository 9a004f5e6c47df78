"""Read OpenAI's stream: turn ``chat.completion.chunk`` objects into events.

Wire: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from providers.completion import CompletionRequest, Usage
from providers.errors import EmptyCompletion, MalformedResponse, ProviderError
from providers.events import (
    Event,
    Finished,
    OpaqueBlock,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.failed_endings import failed_ending, is_failure
from providers.openai.answer import (
    CallNames,
    about_the_answer,
    details_of,
    read_logprobs,
    reasoning_of,
    signature_of,
    unknown_fields,
    upstream_error,
)
from providers.openai.repair import (
    arguments_text,
    as_calls,
    fitting_finish,
    meaning_of,
    new_call_id,
    repair_call,
    repair_content,
    says_nothing,
)
from providers.openai.searches import KIMI_SEARCH, searches_in, shows_results
from providers.usage import UsageOfStream, read_usage

# The arguments of a call of a freeform tool whose input is empty.
_NO_INPUT = '{"input": ""}'


@dataclass(slots=True)
class _Call:
    """A call so far. ``ending`` completes its arguments, if the model does not say more."""

    index: int | None
    id: str
    ending: str = "{}"


@dataclass(slots=True)
class _ChoiceSoFar:
    calls: list[_Call] = field(default_factory=list)
    legacy: bool = False
    empty: bool = True
    finished: bool = False


class OpenAIStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived.

    ``relayed`` is whether the client uses this wire: its chunks are mended in place then.
    """

    def __init__(
        self, provider: str, request: CompletionRequest | None = None, *, relayed: bool = True
    ) -> None:
        self._provider = provider
        self._names = None if request is None or relayed else CallNames(request, relayed=False)
        self._chosen = request is not None and request.chat.chosen
        self._started = False
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._done = False
        self._failed = ""
        self._searches = 0
        self.repaired = False
        self._usage = UsageOfStream()

    @property
    def complete(self) -> bool:
        """Whether the end marker has arrived, or every choice is finished."""
        # Some servers omit the end marker; an answer whose choices are finished is complete.
        choices = self._choices.values()
        return self._done or (bool(choices) and all(choice.finished for choice in choices))

    def feed(self, name: str, chunk: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message; ``None`` is the end marker.

        Raises :class:`providers.errors.ProviderError` if the message reports an error.
        """
        self.repaired = False
        if chunk is None:
            if self._failed:
                raise failed_ending(self._provider, self._failed, None)
            yield from self._end()
            return
        if chunk.get("error"):
            raise self._upstream_error(chunk["error"], chunk)
        if not self._started:
            self._started = True
            response_id = chunk.get("id")
            yield Started(
                response_id if isinstance(response_id, str) else None, about_the_answer(chunk)
            )
        for choice in self._choices_of(chunk):
            if isinstance(choice, dict):
                yield from self._choice(choice, chunk)
        if usage := self._usage_in(chunk):
            if self._failed:
                raise failed_ending(self._provider, self._failed, usage)
            yield UsageReported(usage)

    def _usage_in(self, chunk: dict[str, Any]) -> Usage | None:
        """Return the usage so far if ``chunk`` reports it, with the searches that were shown."""
        if "web_search" in chunk and shows_results(chunk):
            self._searches = self._searches or 1
        usage = self._usage.add(chunk)
        if usage is None or not self._searches or usage.web_searches:
            return usage
        return replace(usage, web_searches=self._searches)

    def _upstream_error(self, reported: Any, chunk: dict[str, Any]) -> ProviderError:
        error = upstream_error(self._provider, reported)
        error.usage = self._usage.add(chunk)
        return error

    def _choices_of(self, chunk: dict[str, Any]) -> list[Any]:
        """Return the choices of a chunk; the one with the usage has none."""
        choices = chunk.get("choices")
        if type(choices) is list:
            return choices
        whole = [choices] if choices else []
        if "choices" in chunk:
            chunk["choices"], self.repaired = whole, True
        return whole

    def _end(self) -> Iterator[Event]:
        """Yield the ends that the server did not say, now that its end marker has arrived."""
        self._done = True
        for index, known in self._choices.items():
            if not known.finished:
                known.finished = True
                yield Finished("tool_calls" if known.calls else "other", index)

    def _choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> Iterator[Event]:
        if choice.get("error"):
            raise self._upstream_error(choice["error"], chunk)
        index = choice.get("index")
        if type(index) is not int:
            index, self.repaired = 0, True
            choice["index"] = 0
        known = self._choices.get(index)
        if known is None:
            known = self._choices[index] = _ChoiceSoFar()
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # The whole message, or a text as in the older API of completions.
            delta = choice.get("message")
            if not isinstance(delta, dict):
                delta = {"content": choice["text"]} if choice.get("text") else {}
            choice["delta"], self.repaired = delta, True
        if self._chosen and known.empty and not _is_protocol(delta.get("content")):
            # Nothing was said yet, and another model answers in the form that clients expect.
            raise MalformedResponse(self._provider, "streams text in a form of its own")
        self.repaired |= repair_content(delta)
        for event in self._delta(index, known, choice, delta):
            known.empty = False
            yield event
        if choice.get("finish_reason") == "":
            choice["finish_reason"], self.repaired = None, True
        if choice.get("finish_reason") and not known.finished:
            yield from self._finish(index, known, choice, chunk)

    def _delta(
        self, index: int, known: _ChoiceSoFar, choice: dict[str, Any], delta: dict[str, Any]
    ) -> Iterator[Event]:
        reasoning, details = reasoning_of(delta), details_of(delta)
        if reasoning or details:
            yield ThinkingDelta(reasoning, choice=index, details=details)
        logprobs = read_logprobs(choice)
        if delta.get("content") or logprobs:
            yield TextDelta(delta.get("content") or "", index, logprobs)
        if delta.get("refusal"):
            yield RefusalDelta(delta["refusal"], index)
        if calls := delta.get("tool_calls"):
            if type(calls) is not list:
                calls, self.repaired = [calls], True
                delta["tool_calls"] = calls
            for call in as_calls(calls):
                yield from self._call(index, known, call)
        if isinstance(delta.get("function_call"), dict):
            yield from self._legacy_call(index, known, delta["function_call"])
        if fields := unknown_fields(delta):
            self._searches += searches_in(fields)
            yield OpaqueBlock("openai", fields, index)

    def _call(self, choice: int, known: _ChoiceSoFar, call: dict[str, Any]) -> Iterator[Event]:
        self.repaired |= repair_call(call)
        custom = call.get("custom")
        is_custom = isinstance(custom, dict)
        function: dict[str, Any] = custom if is_custom else call.get("function") or {}  # type: ignore[assignment]
        call_id = call.get("id") if isinstance(call.get("id"), str) else ""
        number = call.get("index") if type(call.get("index")) is int else None
        position = _call_position(known.calls, number, call_id or "", bool(function.get("name")))
        started = position < len(known.calls)
        if not started:
            if not call_id or any(call_id == other.id for other in known.calls):
                call["id"], self.repaired = new_call_id(), True
            known.calls.append(_Call(number, call_id or "", _NO_INPUT if is_custom else "{}"))
            yield from self._started_call(choice, position, call, function)
        if number != position:
            call["index"], self.repaired = position, True
        pieces = function.get("input") if is_custom else function.get("arguments")
        if not pieces:
            return
        state = known.calls[position]
        if state.ending == "{}" and says_nothing(pieces):
            function["arguments"], self.repaired = "", True
            return
        if is_custom:
            beginning = '{"input": "' if state.ending == _NO_INPUT else ""
            pieces = beginning + json.dumps(str(pieces), ensure_ascii=False)[1:-1]
        state.ending = '"}' if is_custom else ""
        yield ToolArguments(position, pieces, choice)

    def _started_call(
        self, choice: int, position: int, call: dict[str, Any], function: dict[str, Any]
    ) -> Iterator[Event]:
        name, freeform = function.get("name") or "", "custom" in call
        if self._names is not None and not freeform:
            name, freeform = self._names.of(name)
        if not isinstance(call.get("type"), str):
            call["type"], self.repaired = "function", True
        self._searches += name == KIMI_SEARCH
        yield ToolCallStarted(position, call["id"], name, signature_of(call), choice, freeform)

    def _legacy_call(
        self, choice: int, known: _ChoiceSoFar, call: dict[str, Any]
    ) -> Iterator[Event]:
        if call.get("arguments") is not None and type(call["arguments"]) is not str:
            call["arguments"], self.repaired = arguments_text(call["arguments"]), True
        if not known.calls:
            known.legacy = True
            known.calls.append(_Call(0, ""))
            yield ToolCallStarted(0, new_call_id(), str(call.get("name") or ""), "", choice)
        if call.get("arguments"):
            known.calls[0].ending = ""
            yield ToolArguments(0, call["arguments"], choice)

    def _finish(
        self, index: int, known: _ChoiceSoFar, choice: dict[str, Any], chunk: dict[str, Any]
    ) -> Iterator[Event]:
        reason = choice["finish_reason"]
        alone = meaning_of(reason) == "other" and len(self._choices) == 1
        if alone and is_failure(reason, called=bool(known.calls)):
            # The usage comes in a later message, or with the end.
            self._failed = reason
            return
        known.finished = True
        for position, call in enumerate(known.calls):
            if call.ending:
                yield ToolArguments(position, call.ending, index)
                if call.ending == "{}":
                    self._complete_arguments(known, choice["delta"], position)
        seen = "function_call" if known.legacy else "tool_calls"
        fitting = fitting_finish(reason, {seen: known.calls})
        if fitting != reason:
            choice["finish_reason"], self.repaired = fitting, True
        meaning = meaning_of(fitting)
        if self._chosen and self._is_empty() and meaning in {"stop", "other"}:
            usage = read_usage(chunk)
            raise EmptyCompletion(self._provider, "streamed an empty answer", usage=usage)
        yield Finished(meaning, index)

    def _is_empty(self) -> bool:
        return all(choice.empty for choice in self._choices.values())

    def _complete_arguments(
        self, known: _ChoiceSoFar, delta: dict[str, Any], position: int
    ) -> None:
        """Give a call without arguments empty ones, in the delta that ends the choice."""
        self.repaired = True
        if known.legacy:
            delta["function_call"] = {**(delta.get("function_call") or {}), "arguments": "{}"}
            return
        pieces = delta["tool_calls"] = list(delta.get("tool_calls") or ())
        for piece in pieces:
            if isinstance(piece, dict) and piece.get("index") == position:
                piece.setdefault("function", {})["arguments"] = "{}"
                return
        pieces.append({"index": position, "function": {"arguments": "{}"}})


def _call_position(calls: list[_Call], index: int | None, call_id: str, named: bool) -> int:
    """Return the index of the call that a delta continues; ``len(calls)`` for a new call.

    Some servers do not number the calls, some give all of them the same number, and some the
    same id; then the delta that has a name begins another call.
    """
    same = [at for at, known in enumerate(calls) if call_id and known.id == call_id]
    if same:
        exact = [at for at in same if index is None or calls[at].index in (None, index)]
        return exact[-1] if exact else len(calls) if named else same[-1]
    for at, known in reversed(list(enumerate(calls))):
        if not (call_id and known.id) and (index is None or index == known.index):
            return at
    return len(calls)


def _is_protocol(content: Any) -> bool:
    """Return whether a delta's content is text, or begins with reasoning as Mistral's does."""
    if content is None or isinstance(content, str):
        return True
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and first.get("type") == "thinking"
