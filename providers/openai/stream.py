"""Read OpenAI's stream: turn ``chat.completion.chunk`` objects into events.

Wire: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    unknown_fields,
    upstream_error,
)
from providers.openai.call_stream import StreamedCalls
from providers.openai.media_text import text_for_media
from providers.openai.repair import (
    as_calls,
    fitting_finish,
    meaning_of,
    repair_content,
)
from providers.openai.searches import KIMI_SEARCH, searches_in, shows_results
from providers.usage import UsageOfStream, read_usage


@dataclass(slots=True)
class _ChoiceSoFar:
    calls: StreamedCalls | None = None
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
        self._tools = () if request is None else request.chat.tools
        self._started = False
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._done = False
        self._failed = ""
        self._searches = 0
        self._tools_run: set[int] = set()
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
            self._check_ending(None)
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
            self._check_ending(usage)
            yield UsageReported(usage)

    def _check_ending(self, usage: Usage | None) -> None:
        """Raise the error of an answer whose only choice ended in one."""
        if self._failed and len(self._choices) == 1:
            raise failed_ending(self._provider, self._failed, usage)

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
                if known.calls is not None:
                    yield from known.calls.finish({})
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
        if delta.get("tool_calls") or isinstance(delta.get("function_call"), dict):
            for event in self._called(self._calls_of(index, known), delta):
                if type(event) is ToolCallStarted:
                    self._searches += event.name == KIMI_SEARCH
                yield event
        if fields := unknown_fields(delta):
            self._searches += searches_in(fields, self._tools_run)
            names = self._names
            if names is not None and not names.for_own_api and (text := text_for_media(fields)):
                yield TextDelta(text, index)
            yield OpaqueBlock("openai", fields, index)

    def _called(self, streamed: StreamedCalls, delta: dict[str, Any]) -> Iterator[Event]:
        if calls := delta.get("tool_calls"):
            if type(calls) is not list:
                calls, self.repaired = [calls], True
                delta["tool_calls"] = calls
            for call in as_calls(calls):
                yield from streamed.feed(call)
        if isinstance(delta.get("function_call"), dict):
            yield from streamed.feed_legacy(delta["function_call"])
        self.repaired |= streamed.repaired

    def _calls_of(self, index: int, known: _ChoiceSoFar) -> StreamedCalls:
        if known.calls is None:
            offered = frozenset([tool.name for tool in self._tools])
            known.calls = StreamedCalls(index, self._names, offered)
        known.calls.repaired = False
        return known.calls

    def _finish(
        self, index: int, known: _ChoiceSoFar, choice: dict[str, Any], chunk: dict[str, Any]
    ) -> Iterator[Event]:
        reason = choice["finish_reason"]
        calls = known.calls
        alone = meaning_of(reason) == "other" and len(self._choices) == 1
        if alone and is_failure(reason, called=bool(calls)):
            # The usage comes in a later message, or with the end.
            self._failed = reason
            return
        known.finished = True
        message: dict[str, Any] = {}
        if calls is not None:
            calls.repaired = False
            yield from calls.finish(choice["delta"])
            self.repaired |= calls.repaired
            message["function_call" if calls.legacy else "tool_calls"] = bool(calls)
        fitting = fitting_finish(reason, message)
        if fitting != reason:
            choice["finish_reason"], self.repaired = fitting, True
        meaning = meaning_of(fitting)
        if self._chosen and self._is_empty() and meaning in {"stop", "other"}:
            usage = read_usage(chunk)
            raise EmptyCompletion(self._provider, "streamed an empty answer", usage=usage)
        yield Finished(meaning, index)

    def _is_empty(self) -> bool:
        return all(choice.empty for choice in self._choices.values())


def _is_protocol(content: Any) -> bool:
    """Return whether a delta's content is text, or begins with reasoning as Mistral's does."""
    if content is None or isinstance(content, str):
        return True
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and first.get("type") == "thinking"
