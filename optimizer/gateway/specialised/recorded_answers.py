"""Records answers that are no chats: whole ones, and streams before their last piece is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.gateway.recording.timing import Timing, milliseconds_since
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.shared.tasks import Background
from providers.completion import Choice, Completion, Usage
from providers.errors import ClientGone, ProviderError
from providers.pricing import PriceBook
from providers.resilience import Attempt
from providers.specialised.bounds import usually_used
from providers.specialised.requests import SpecialisedAnswer, SpecialisedRequest, SpecialisedStream
from providers.specialised.usage import settled
from routing.models import ModelRef, RoutingDecision


@dataclass(slots=True)
class AnswerRecording:
    """What is needed to record the answer of one request."""

    accounting: Accounting
    unfinished: UnfinishedCalls
    prices: PriceBook
    request: SpecialisedRequest
    analyzed: AnalyzedRequest
    decision: RoutingDecision
    attempts: list[Attempt]
    reservation: Reservation | None
    started: float
    called: float
    first_piece: float | None = None

    async def whole(
        self, answer: SpecialisedAnswer | SpecialisedStream, usage: Usage, cut_off: str = ""
    ) -> Recorded:
        """Record the answer, or the part of it that was delivered if it was ``cut_off``."""
        ref = ModelRef(answer.provider, answer.model)
        usage = self._settled(usage, ref)
        completion = Completion(*ref, (Choice((), "stop"),), usage, member=answer.member)
        since = milliseconds_since
        first = None if self.first_piece is None else (self.first_piece - self.started) * 1000
        recording = self.accounting.record_answer(
            self.analyzed,
            self.decision,
            completion,
            self.attempts,
            Timing(since(self.started), since(self.called), first),
            cut_off=cut_off,
            reservation=self.reservation,
        )
        call = UnfinishedCall(
            self.analyzed, self.started, self.attempts, self.decision, self.reservation, completion
        )
        return await self.unfinished.record(call, recording)

    def _settled(self, usage: Usage, model: ModelRef) -> Usage:
        """Return ``usage`` with an estimate of what is not reported and decides the cost."""
        rates = self.prices.rates(*model)
        prices = rates.fees.units if rates is not None else None
        by_tokens = rates is not None and (prices is None or prices.tokens)
        if prices is not None and usage.units is not None and prices.knows(usage.units):
            by_tokens = by_tokens and not usage.unreported
        return settled(usage, self.request, by_tokens=by_tokens)


@dataclass(slots=True, eq=False)
class RecordedStream:
    """An answer that arrives piece by piece; the last piece is sent once the record is durable.

    However the stream ends, its sender calls :meth:`leave`.
    """

    stream: SpecialisedStream
    _recording: AnswerRecording
    _background: Background
    _ended: bool = field(default=False, init=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the provider that clients read."""
        return self.stream.headers

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces as they arrive.

        Raises :class:`ProviderError` if the provider breaks off; what it delivered is recorded.
        """
        held: bytes | None = None
        async with aclosing(self.stream.pieces) as pieces:
            try:
                async for piece in pieces:
                    if self._recording.first_piece is None:
                        self._recording.first_piece = time.perf_counter()
                    if held is not None:
                        yield held
                        held = None
                    if self.stream.events and not self.stream.ending():
                        yield piece
                    else:
                        held = piece
            except ProviderError as error:
                await self._record(error.code)
                raise
        await self._record()
        if held is not None:
            yield held

    def leave(self) -> None:
        """Record what was delivered of a stream that its client left."""
        if not self._ended:
            self._background.run(self._left())

    async def _left(self) -> None:
        await self.stream.pieces.aclose()
        await self.stream.close()
        await self._record(ClientGone.code)

    async def _record(self, cut_off: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        stream = self.stream
        usage = stream.usage()
        if cut_off and self._recording.request.task != "audio/speech" and usage.unreported:
            # Nobody knows how much of it was made: all of it may be charged.
            usage = replace(usage, units=usually_used(self._recording.request).units)
        await self._recording.whole(stream, usage, cut_off)
