"""The lengths of answers that routing expects, learned from the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable

from analytics.reports.answer_lengths import (
    ExpectedLengths,
    LengthKind,
    answer_lengths,
    imported_lengths,
)
from optimizer.domain.request import GatewayRequest
from routing.models import ModelRef, Tier

_READ_AGAIN_SECONDS = 300.0


class OutputLengths:
    """What is known of the lengths of answers, read again every five minutes.

    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self) -> None:
        self._lengths = ExpectedLengths()
        self.known = False
        """Whether enough answers are known to expect another length than the usual one."""
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the lengths of the latest answers, if that was long ago."""
        now = time.monotonic()
        if now - self._read_at >= _READ_AGAIN_SECONDS:
            self._lengths = ExpectedLengths(answer_lengths(), imported_lengths())
            self.known = self._lengths.any
            self._read_at = now

    def at_effort(self, ref: ModelRef, turn: str, tier: str, effort: str) -> int | None:
        """Return the usual length of a model's answers at this very effort, ``None`` if unknown."""
        return self._lengths.at_effort(ref, LengthKind(turn, tier, effort))

    def usual(self, request: GatewayRequest) -> Callable[[ModelRef, Tier], int | None]:
        """Return a function from a model and a tier to the usual length of an answer, in tokens."""
        effort = request.chat.reasoning.level if request.chat.reasoning is not None else ""
        return self.usual_of(request.turn, effort)

    def usual_of(self, turn: str, effort: str) -> Callable[[ModelRef, Tier], int | None]:
        """Return the same for a kind of turn and an effort of reasoning."""
        lengths = self._lengths

        def expected(ref: ModelRef, tier: Tier) -> int | None:
            return lengths.expected(ref, LengthKind(turn, tier, effort))

        return expected
