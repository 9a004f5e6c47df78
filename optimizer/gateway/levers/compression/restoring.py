"""Calls a model again when it asks for an original; the client gets one answer of all rounds.

Each round is a call of its own to the same model, with a budget's money held for it. What the
rounds before used stands beside the usage of the last one (``Usage.beside``), so that each is
priced for itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from optimizer.gateway.levers.compression.answers import StreamMerger
from optimizer.gateway.levers.compression.answers.table import ANSWER_WIRES
from optimizer.gateway.levers.compression.hidden import is_hidden
from optimizer.gateway.levers.compression.rounds import Rounds
from optimizer.gateway.levers.compression.sending import Sending
from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.assembly import CompletionBuilder
from providers.chat import Chat
from providers.completion import Choice, Completion, RelayedAnswer, Usage
from providers.errors import ConnectionLost
from providers.events import (
    Event,
    Finished,
    Relayed,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.opened_stream import ClosingStream, OpenStream
from providers.resilience import AllProvidersFailed, Attempt, AuthorizeCall, Caller
from providers.tier_attempts import TierAttempt
from providers.usage_estimates import estimated_usage

_RESTORED = "restored"
Keep = Callable[[Mapping[str, str]], Awaitable[object]]
"""Stores the hidden rounds of an answer, by its names."""


def added(last: Usage, earlier: Sequence[Usage]) -> Usage:
    """Return ``last`` with the calls of ``earlier`` rounds beside it."""
    if not earlier:
        return last
    beside = [*last.beside]
    for usage in earlier:
        own = replace(usage, beside=(), reported_cost=None, by_gateway=True)
        beside += [("", own), *((n, replace(call, by_gateway=True)) for n, call in usage.beside)]
    costs = [usage.reported_cost for usage in (*earlier, last)]
    known = [cost for cost in costs if cost is not None]
    return replace(
        last,
        beside=tuple(beside),
        reported_cost=sum(known) if len(known) == len(costs) else None,  # type: ignore[arg-type]
        estimated=last.estimated or any(usage.estimated for usage in earlier),
    )


class RestoringCaller:
    """Calls models as :class:`providers.resilience.ResilientCaller` does, in rounds."""

    def __init__(self, caller: Caller, sending: Sending, asked: Chat, keep: Keep) -> None:
        self._caller = caller
        self._sending = sending
        self._asked = asked
        self._keep = keep

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        *,
        first: TierAttempt | None = None,
    ) -> Completion:
        """Return one completion of all rounds. Raises what the caller's own method raises."""
        rounds = Rounds(self._sending, self._asked, chat)
        paid: list[Attempt] = []
        while True:
            try:
                completion = await self._caller.call(
                    chain, rounds.chat, attempts, authorize, caller, first=first
                )
            except AllProvidersFailed:
                if not rounds.after_failure(attempts):
                    raise
                continue
            first = None
            served = (completion.provider, completion.model)
            if rounds.end(completion):
                break
            # Should the next round fail, this one was paid for all the same.
            paid.append(_paid(completion))
            attempts.append(paid[-1])
            chain = [served, *(model for model in chain if tuple(model) != served)]
        if stored := rounds.stored():
            await self._keep(stored)
        # Rounds of another model than the last one stay among the attempts, with their cost.
        own = [one for one in paid if (one.provider, one.model) == served]
        attempts[:] = [one for one in attempts if not any(one is same for same in own)]
        earlier = [one.usage for one in own if one.usage is not None]
        return merged(rounds.answers, added(completion.usage, earlier), rounds.whole_again)

    async def open_stream(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        *,
        first: TierAttempt | None = None,
    ) -> OpenStream:
        """Return one stream of all rounds. Raises what the caller's own method raises."""
        opened = await self._caller.open_stream(
            chain, chat, attempts, authorize, caller, first=first
        )
        rounds = Rounds(self._sending, self._asked, chat)
        stream = OpenStream(opened.provider, opened.request, opened.events, opened.attempts)
        stream.headers, stream.member = opened.headers, opened.member
        served = (opened.provider, opened.request.model)

        async def following(paid: Sequence[Attempt]) -> OpenStream:
            failed = [*attempts, *paid]
            before = len(failed)
            opening = partial(self._caller.open_stream, [served])
            try:
                try:
                    return await opening(rounds.chat, failed, authorize, caller)
                except AllProvidersFailed:
                    if not rounds.after_failure(failed):
                        raise
                    return await opening(rounds.chat, failed, authorize, caller)
            except AllProvidersFailed as error:
                words = "did not go on with its answer"
                raise ConnectionLost(stream.provider, words) from error
            finally:
                # Calls that failed may have cost something, also if another one followed.
                stream.attempts = (*stream.attempts, *failed[before:])

        merging = _MergedStream(rounds, self._keep, following).events(opened)
        stream.events = ClosingStream(merging, opened.events)
        return stream


def _paid(completion: Completion) -> Attempt:
    words = "answered in part, and was called again for the rest"
    return Attempt(completion.provider, completion.model, _RESTORED, words, usage=completion.usage)


def merged(answers: Sequence[Completion], usage: Usage, whole_again: bool) -> Completion:
    """Return one completion of all rounds' answers, without the hidden calls.

    After the client's own request was sent in the end, its answer is the whole answer.
    """
    last = answers[-1]
    answers = answers[-1:] if whole_again else answers
    parts = tuple(
        part for answer in answers for part in answer.choices[0].parts if not is_hidden(part)
    )
    as_it_came = not whole_again and len(answers) == 1 and parts == last.choices[0].parts
    if as_it_came and (last.relayed is None or not _repeats_request(last.relayed.body)):
        return last
    ending = last.choices[0]
    choice = Choice(
        parts, ending.finish_reason, ending.refusal, ending.stop_sequence, ending.logprobs
    )
    return replace(
        last,
        choices=(choice, *last.choices[1:]),
        usage=usage,
        response_id=answers[0].response_id,
        relayed=_relayed(answers),
    )


def _relayed(answers: Sequence[Completion]) -> RelayedAnswer | None:
    """Return the answers of all rounds in the provider's form, if all came in the client's."""
    own = [answer.relayed for answer in answers if answer.relayed is not None]
    if len(own) < len(answers):
        return None
    wire = _wire_of(own[-1].body)
    body = ANSWER_WIRES[wire].merged([answer.body for answer in own])
    return RelayedAnswer(body, headers=own[-1].headers)


def _repeats_request(body: Mapping[str, Any]) -> bool:
    """Return whether an answer repeats the tools of its request, as OpenAI's responses do."""
    return "output" in body and "tools" in body


def _wire_of(body: Mapping[str, Any]) -> str:
    for name, wire in (
        ("candidates", "gemini"), ("choices", "openai"), ("output", "openai-responses"),
    ):  # fmt: skip
        if name in body:
            return wire
    return "anthropic"


class _MergedStream:
    """Yields the events of several streams as those of one."""

    def __init__(
        self,
        rounds: Rounds,
        keep: Keep,
        following: Callable[[Sequence[Attempt]], Awaitable[OpenStream]],
    ) -> None:
        self._rounds = rounds
        self._keep = keep
        self._following = following
        self._merger: StreamMerger | None = None
        self._finished: list[Finished] = []
        self._paid: list[Attempt] = []
        self._shown = self._block = self._highest = 0
        self._places: dict[int, int | None] = {}

    async def events(self, opened: OpenStream) -> AsyncGenerator[Event, None]:
        """Yield the client's events, from the first stream's on."""
        while True:
            builder = CompletionBuilder(opened.provider, opened.request)
            self._places = {}
            self._highest = self._block
            async with aclosing(opened.events) as events:
                async for event in events:
                    for shown in self._shown_of(event, builder):
                        yield shown
            completion = builder.completion()
            if self._merger is not None and (body := self._merger.round_body()) is not None:
                completion = replace(completion, relayed=RelayedAnswer(body))
            if self._rounds.end(completion):
                break
            self._finished.clear()
            self._block = self._highest + 1
            for message in self._merger.next_round() if self._merger is not None else ():
                yield message
            used = self._with_earlier(completion.usage)
            self._paid.append(_paid(completion))
            # What the rounds so far used, and what the one that begins uses at least.
            begun = estimated_usage(self._rounds.chat, ())
            yield UsageReported(self._with_earlier(begun))
            try:
                opened = await self._following(self._paid)
            except Exception:
                # It did not begin: what its calls may have cost stands with the attempts.
                yield UsageReported(used)
                raise
        if stored := self._rounds.stored():
            await self._keep(stored)
        yield UsageReported(self._with_earlier(completion.usage))
        for ending in self._endings():
            yield ending

    def _endings(self) -> Sequence[Event]:
        relayed = self._merger.endings() if self._merger is not None else ()
        return (*self._finished, *relayed)

    def _with_earlier(self, usage: Usage) -> Usage:
        return added(usage, [one.usage for one in self._paid if one.usage is not None])

    def _shown_of(self, event: Event, builder: CompletionBuilder) -> Sequence[Event]:
        """Add an event to the answer of its round; return what the client gets of it now."""
        if isinstance(event, Relayed):
            return [event] if self._merger is None else self._merger.feed(event)
        builder.add(event)
        shown = self._event(event)
        return () if shown is None else (shown,)

    def _event(self, event: Event) -> Event | None:
        """Return what the client gets of an event of the answer."""
        if isinstance(event, Started):
            return self._begin(event)
        if isinstance(event, Finished):
            self._finished.append(event)
            return None
        if isinstance(event, UsageReported):
            return UsageReported(self._with_earlier(event.usage))
        if isinstance(event, ToolCallStarted):
            hidden = event.name == TOOL
            self._places[event.index] = None if hidden else self._shown
            self._shown += not hidden
        if isinstance(event, (ToolCallStarted, ToolArguments)):
            place = self._places.get(event.index, event.index)
            return None if place is None else replace(event, index=place)
        if isinstance(event, (TextDelta, ThinkingDelta)) and self._block:
            event = replace(event, block=event.block + self._block)
        self._highest = max(self._highest, getattr(event, "block", 0))
        return event

    def _begin(self, event: Started) -> Event | None:
        if self._rounds.answers:
            return None
        if event.relayed and self._merger is None:
            source = self._rounds.chat.source
            if source is not None and source.wire in ANSWER_WIRES:
                self._merger = ANSWER_WIRES[source.wire].stream()
        return event
