"""One request's way through a cascade: the first call, its checks, and the second call.

Each call that was paid for and is not served is among the request's attempts from the moment its
answer has arrived, so whatever ends the request, its record has what all calls cost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TypeVar

from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.gateway.levers.cascade.checks.logprob_check import with_logprobs, without_logprobs
from optimizer.gateway.levers.cascade.checks.verdicts import Check, CheckedAnswer, Verdict
from optimizer.gateway.levers.cascade.held_stream import HeldStream, hold_stream
from optimizer.gateway.levers.cascade.plan import CascadePlan
from providers.attempts import CHECK_CALL, CHECK_FAILED, NOT_SERVED
from providers.chat import Chat
from providers.completion import Completion
from providers.errors import ProviderError
from providers.fallback import ResiliencePolicy
from providers.resilience import (
    AllProvidersFailed,
    Attempt,
    AuthorizeCall,
    OpenStream,
    ResilientCaller,
)
from providers.values import changed
from routing.models import ModelRef

logger = logging.getLogger(__name__)

_SHARE = 0.5
"""The part of the time that is left which a call may take if another one may follow."""
First = TypeVar("First", Completion, HeldStream)


@dataclass(slots=True)
class Walk:
    """The calls of one request, with what is known of them.

    ``attempts`` are those of the request; calls are added as they are made. ``served`` is "cheap"
    or "strong" once that is decided. ``served_ms`` is how long the served answer's call took, if
    it is the first one's. ``first_failed`` and ``strong_failed`` say that the models themselves
    did not answer.
    """

    plan: CascadePlan
    analyzed: AnalyzedRequest
    caller: ResilientCaller
    attempts: list[Attempt]
    reservation: Reservation | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    served: str = ""
    served_ms: float | None = None
    first_failed: bool = False
    strong_failed: bool = False
    _began: float = field(default_factory=time.monotonic)
    _calls: int = 0
    _waiting: Attempt | None = None
    _again: Completion | None = None

    @property
    def escalated(self) -> bool:
        """Return whether a check did not let the first answer pass."""
        return any(verdict.result != "passed" for verdict in self.verdicts)

    async def complete(self) -> Completion:
        """Return the answer to serve. Raises :class:`providers.resilience.AllProvidersFailed`."""
        first = await self._first_answer()
        if first is not None and await self._passes(first):
            return self._serve(self._as_asked(first))
        chat, authorize = self.analyzed.request.chat, self._authorize_second()
        try:
            answer = await self.caller.call(
                self.plan.chain, chat, self.attempts, authorize, self._tenant, self._rest()
            )
        except AllProvidersFailed:
            if first is None or self._invalid:
                raise
            return self._serve_after_all(self._as_asked(first))
        self.served = "strong"
        return answer

    async def open_stream(self) -> OpenStream:
        """Return the stream to serve: the first answer is read to its end before it is given.

        Raises :class:`providers.resilience.AllProvidersFailed`.
        """
        first = await self._first_stream()
        if first is not None and await self._passes(first.completion):
            return self._given(self._serve(first))
        chat, authorize = self.analyzed.request.chat, self._authorize_second()
        try:
            opened = await self.caller.open_stream(
                self.plan.chain, chat, self.attempts, authorize, self._tenant, self._rest()
            )
        except AllProvidersFailed:
            if first is None or self._invalid:
                raise
            return self._given(self._serve_after_all(first))
        self.served = "strong"
        return opened

    async def _first_answer(self) -> Completion | None:
        """Return the cheap model's answer, ``None`` if it gave none."""
        chat = self.analyzed.request.chat
        if self.plan.asks_logprobs:
            chat = with_logprobs(chat)
        second = self._ask_again(chat)
        began = time.monotonic()
        try:
            answer = await self.caller.call(
                [self._cheap], chat, self.attempts, self._authorize, self._tenant, self._one_call()
            )
            self.served_ms = (time.monotonic() - began) * 1000
            self._note_waiting(answer)
        except AllProvidersFailed:
            self.first_failed = True
            answer = None
        finally:
            await _end(second, wanted=self._waiting is not None)
        return answer

    async def _first_stream(self) -> HeldStream | None:
        """Return the cheap model's whole stream, ``None`` if it gave none."""
        chat = self.analyzed.request.chat
        second = self._ask_again(chat)
        try:
            opened = await self.caller.open_stream(
                [self._cheap], chat, self.attempts, self._authorize, self._tenant, self._one_call()
            )
            held = await hold_stream(opened, self._time_left * _SHARE, self._note_broken)
            self._note_waiting(held.completion)
        except (AllProvidersFailed, ProviderError):
            self.first_failed = True
            held = None
        finally:
            await _end(second, wanted=self._waiting is not None)
        return held

    def _ask_again(self, chat: Chat) -> asyncio.Task[None] | None:
        """Begin the second answer that the first one is compared with, if there is to be one."""
        if not self.plan.cascade.checking.more_calls:
            return None

        async def ask() -> None:
            self._again = await self._ask(self._cheap, chat, "answered a second time, to compare")

        return asyncio.create_task(ask())

    async def _passes(self, answer: Completion) -> bool:
        """Make the checks, until one does not pass; return whether the answer is served."""
        given = CheckedAnswer(self.analyzed.request.as_asked, answer, self._ask, self._again)
        for check in self.plan.checks:
            verdict = await _verdict(check, given)
            self.verdicts.append(verdict)
            if verdict.result != "passed":
                words = "could not be checked" if verdict.result == "undecided" else "failed"
                reason = f": {verdict.reason}" if verdict.reason else ""
                self._replace_waiting(
                    CHECK_FAILED, f"answered, and its check “{check.name}” {words}{reason}"
                )
                return False
        return True

    async def _ask(self, model: ModelRef, chat: Chat, why: str) -> Completion | None:
        """Return a model's answer for a check; what it costs is charged to the request."""
        attempts: list[Attempt] = []
        if residency := self.analyzed.request.chat.residency:
            chat = changed(chat, residency=residency)
        try:
            # The money is held since the beginning.
            answer = await self.caller.call(
                [model], chat, attempts, None, self._tenant, self._one_call()
            )
        except AllProvidersFailed:
            return None
        finally:
            self.attempts += attempts
        self.attempts.append(Attempt(*model, CHECK_CALL, why, usage=answer.usage))
        return answer

    def _serve(self, first: First) -> First:
        self.served = "cheap"
        if self._waiting is not None:
            self.attempts.remove(self._waiting)
            self._waiting = None
        return first

    def _serve_after_all(self, first: First) -> First:
        """Return the first answer, as no other model answered: a doubtful one beats none."""
        self.strong_failed = True
        return self._serve(first)

    @property
    def _invalid(self) -> bool:
        """Return whether the first answer is of no use to the client."""
        return any(verdict.invalidates for verdict in self.verdicts)

    def _given(self, held: HeldStream) -> OpenStream:
        opened = held.given()
        opened.attempts = tuple(self.attempts)
        return opened

    def _as_asked(self, answer: Completion) -> Completion:
        return without_logprobs(answer) if self.plan.asks_logprobs else answer

    def _note_waiting(self, answer: Completion) -> None:
        """Count the first answer as paid for and not served, until it is known to be."""
        words = "answered; the request ended before its checks did"
        self._waiting = Attempt(*self._cheap, NOT_SERVED, words, usage=answer.usage)
        self.attempts.append(self._waiting)
        if self.reservation is not None:
            cost = self.reservation.charged(*self._cheap, answer.usage)
            self.reservation.note_answer(answer.usage, cost)

    def _note_broken(self, answer: Completion, error: ProviderError) -> None:
        self.attempts.append(Attempt(*self._cheap, error.code, error.message, usage=answer.usage))

    def _replace_waiting(self, code: str, message: str) -> None:
        assert self._waiting is not None
        place = self.attempts.index(self._waiting)
        self._waiting = replace(self._waiting, error=code, message=message)
        self.attempts[place] = self._waiting

    def _authorize_second(self) -> AuthorizeCall | None:
        if self.reservation is not None:
            self.reservation.keep_beside(())  # the call itself holds it from here on
        return self._authorize

    @property
    def _authorize(self) -> AuthorizeCall | None:
        return self.reservation.authorize if self.reservation is not None else None

    @property
    def _cheap(self) -> ModelRef:
        return self.plan.cascade.cheap.ref

    @property
    def _tenant(self) -> str:
        return self.analyzed.request.client.tenant

    @property
    def _time_left(self) -> float:
        return max(1.0, self.caller.policy.deadline - (time.monotonic() - self._began))

    def _one_call(self) -> ResiliencePolicy:
        """Return the limits of a call that another one may follow: it is made once."""
        self._calls += 1
        seconds = self._time_left * _SHARE
        return replace(self.caller.policy, retries=0, max_calls=1, deadline=seconds)

    def _rest(self) -> ResiliencePolicy:
        """Return what is left of the request's calls and time; one call is always left."""
        calls = max(1, self.caller.policy.max_calls - self._calls)
        return replace(self.caller.policy, max_calls=calls, deadline=self._time_left)


async def _verdict(check: Check, answer: CheckedAnswer) -> Verdict:
    try:
        return await check.verdict(answer)
    except Exception as error:  # noqa: BLE001 - the stronger model answers then
        kind = type(error).__name__
        logger.error("The check “%s” failed by an error of ours: %s", check.name, kind)
        return Verdict(check.name, "undecided", f"an error of ours ({kind})")


async def _end(second: asyncio.Task[None] | None, *, wanted: bool) -> None:
    """Wait for the second answer, or end its call if it is not wanted any more."""
    if second is None:
        return
    if not wanted:
        second.cancel()
    try:
        await asyncio.wait({second})
    except asyncio.CancelledError:
        second.cancel()
        await asyncio.wait({second})
        raise
    if not second.cancelled() and (error := second.exception()) is not None:
        logger.error("A second answer failed by an error of ours: %s", type(error).__name__)
