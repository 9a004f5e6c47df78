"""Puts the guard rails before and after each call, and notes what each of them found."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

from optimizer.domain.result import NestedTooDeeply
from optimizer.gateway.guardrails.rails import Rail, RailCall, RailFinding
from optimizer.gateway.levers.cascade.held_stream import hold_stream
from providers.assembly import CompletionBuilder
from providers.attempts import (
    GUARDRAIL,
    GUARDRAIL_FAILED,
    GUARDRAIL_REFUSED,
    AllProvidersFailed,
    Attempt,
    CallRefused,
)
from providers.chat import Chat
from providers.completion import Completion
from providers.errors import ProviderError
from providers.events import Event
from providers.opened_stream import ClosingStream, OpenStream

logger = logging.getLogger(__name__)

Checked = TypeVar("Checked")
Sent = TypeVar("Sent")
Made = TypeVar("Made")
_LONGEST_NAME = 100
_Begun = Sequence[tuple[Rail, RailCall]]


class GuardRails:
    """The guard rails of a process, in their order; answers pass them in the reverse one.

    ``hold_seconds`` is how long a stream may be held until it has ended.
    """

    def __init__(self, rails: Sequence[Rail], hold_seconds: float = 600.0) -> None:
        self.rails = tuple(rails)
        self.fingerprint = "\0".join(f"{rail.name} {rail.fingerprint}" for rail in rails)
        """What cached answers must have been made under."""
        self._hold_seconds = hold_seconds

    async def whole(
        self,
        chat: Chat,
        attempts: list[Attempt],
        proceed: Callable[[Chat, list[Attempt]], Awaitable[Completion]],
    ) -> Completion:
        """Return the answer that may be given. Raises :class:`CallRefused`."""
        begun = self._begin()
        sent = await self._sent(begun, chat, attempts)
        answer = await _proceeded(proceed, sent, attempts)
        for rail, call in reversed(begun):
            await self._check_answer(rail, call, answer, sent, attempts)
            answer = call.given(answer)
        return answer

    async def streamed(
        self,
        chat: Chat,
        attempts: list[Attempt],
        proceed: Callable[[Chat, list[Attempt]], Awaitable[OpenStream]],
    ) -> OpenStream:
        """Return the stream that may be given. Raises :class:`CallRefused`.

        Where a rail holds streams, the answer is complete and checked by then.
        """
        begun = self._begin()
        sent = await self._sent(begun, chat, attempts)
        opened = await _proceeded(proceed, sent, attempts)
        if any(rail.holds_streams for rail in self.rails):
            opened = await self._held(begun, opened, sent, attempts)
        opened.attempts = tuple(attempts)
        first = opened.events
        for rail, call in reversed(begun):
            if rail.checks_output and not rail.holds_streams:
                opened.events = self._checked_at_end(rail, call, opened, opened.events, sent)
            opened.events = call.given_events(opened.events)
        if opened.events is not first:
            opened.events = ClosingStream(opened.events, first)
        return opened

    async def of_body(
        self,
        task: str,
        body: Mapping[str, Any],
        residency: frozenset[str],
        attempts: list[Attempt],
        proceed: Callable[[Mapping[str, Any], list[Attempt]], Awaitable[Made]],
    ) -> Made:
        """Return what is made of a body that may be sent. Raises :class:`CallRefused`.

        What is made is given as it comes: embeddings, pictures, speech, ranks.
        """
        for rail, call in self._begin():
            if task in rail.spares:
                continue
            body = await self._checked(
                rail, "input", attempts, call.check_body(body, residency), unchecked=body
            )
        return await _proceeded(proceed, body, attempts)

    def _begin(self) -> _Begun:
        return [(rail, rail.begin()) for rail in self.rails]

    async def _sent(self, begun: _Begun, chat: Chat, attempts: list[Attempt]) -> Chat:
        for rail, call in begun:
            chat = await self._checked(
                rail, "input", attempts, call.check_input(chat), unchecked=chat
            )
        return chat

    async def _check_answer(
        self, rail: Rail, call: RailCall, answer: Completion, sent: Chat, attempts: list[Attempt]
    ) -> None:
        if not rail.checks_output:
            return

        async def check() -> tuple[None, RailFinding]:
            return None, await call.check_output(answer, sent) or RailFinding()

        try:
            await self._checked(rail, "output", attempts, check(), unchecked=None)
        except CallRefused:
            # It is paid for all the same, and stands before what refused it.
            attempts.insert(-1, _withheld(answer))
            raise

    async def _held(
        self, begun: _Begun, opened: OpenStream, sent: Chat, attempts: list[Attempt]
    ) -> OpenStream:
        def broken(part: Completion, error: ProviderError) -> None:
            attempts.append(
                Attempt(part.provider, part.model, error.code, error.message, usage=part.usage)
            )

        try:
            held = await hold_stream(opened, self._hold_seconds, broken)
        except ProviderError:
            raise AllProvidersFailed(attempts) from None
        for rail, call in reversed(begun):
            await self._check_answer(rail, call, held.completion, sent, attempts)
        return held.given()

    async def _checked_at_end(
        self,
        rail: Rail,
        call: RailCall,
        opened: OpenStream,
        before: AsyncGenerator[Event, None],
        sent: Chat,
    ) -> AsyncGenerator[Event, None]:
        """Yield a stream's events, and note at its end what the rail says of them."""
        builder = CompletionBuilder(opened.provider, opened.request)
        async with aclosing(before) as events:
            async for event in events:
                builder.add(event)
                yield event
        attempts: list[Attempt] = []
        try:
            await self._check_answer(rail, call, builder.completion(), sent, attempts)
        except CallRefused:
            attempts = [attempt for attempt in attempts if attempt.rail is not None]
        opened.attempts = (*opened.attempts, *attempts)

    async def _checked(
        self,
        rail: Rail,
        stage: str,
        attempts: list[Attempt],
        checking: Awaitable[tuple[Checked, RailFinding]],
        *,
        unchecked: Checked,
    ) -> Checked:
        """Return what may pass, noted in ``attempts``. Raises :class:`CallRefused`.

        ``unchecked`` passes if the rail fails and fails open.
        """
        started = time.perf_counter()
        try:
            checked, finding = await checking
        except NestedTooDeeply as error:
            # Refused even by a rail that fails open: any client can nest what it wants unchecked.
            detail = f"{error.field[:_LONGEST_NAME]} is nested too deeply"
            attempts.append(_note(rail, stage, "refused", detail, "", started))
            _refuse(rail, stage, attempts, detail, unavailable=False, field=error.field)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing passes unchecked by it
            # The message of another error may hold a part of the prompt.
            reason = str(error) if isinstance(error, ProviderError) else type(error).__name__
            logger.warning("The guard rail %s cannot check (%s)", rail.name, reason)
            verdict = "failed_open" if rail.fails_open else "failed_closed"
            note = _note(rail, stage, verdict, "could not check it", "", started)
            attempts.append(note)
            if rail.fails_open:
                return unchecked
            _refuse(rail, stage, attempts, "it cannot be checked now", unavailable=True)
        attempts.append(_note(rail, stage, finding.outcome, finding.detail, finding.calls, started))
        if finding.outcome == "refused":
            _refuse(rail, stage, attempts, finding.detail, unavailable=False)
        return checked


def _refuse(
    rail: Rail,
    stage: str,
    attempts: Sequence[Attempt],
    detail: str,
    *,
    unavailable: bool,
    field: str = "",
) -> NoReturn:
    what = "request" if stage == "input" else "answer"
    reason = f"The guard rail “{rail.name}” refused the {what}: {detail}."
    raise CallRefused(attempts, reason, unavailable=unavailable, field=field)


_CODES = {
    "refused": GUARDRAIL_REFUSED,
    "failed_open": GUARDRAIL_FAILED,
    "failed_closed": GUARDRAIL_FAILED,
}


def _note(rail: Rail, stage: str, verdict: str, detail: str, calls: str, started: float) -> Attempt:
    """Return the record of a verdict: it is no call of the model, and costs nothing by itself."""
    provider, _, model = calls.partition("/")
    verdicts = {
        "rail": rail.name, "stage": stage, "verdict": verdict, "detail": detail, "model": calls,
        "ms": round((time.perf_counter() - started) * 1000, 2),
    }  # fmt: skip
    return Attempt(provider, model, _CODES.get(verdict, GUARDRAIL), detail, rail=verdicts)


def _withheld(answer: Completion) -> Attempt:
    words = "answered, and a guard rail refused the answer"
    return Attempt(
        answer.provider, answer.model, GUARDRAIL_REFUSED, words, usage=answer.usage,
        member=answer.member,
    )  # fmt: skip


async def _proceeded(
    proceed: Callable[[Sent, list[Attempt]], Awaitable[Made]],
    sent: Sent,
    attempts: list[Attempt],
) -> Made:
    """Return what ``proceed`` makes; its failed calls come behind what the rails found."""
    tried: list[Attempt] = []
    try:
        return await proceed(sent, tried)
    finally:
        attempts += tried
