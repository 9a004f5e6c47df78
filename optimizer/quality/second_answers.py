"""Answers requests a second time, in the background, and has both answers judged.

Clients notice nothing, and pay nothing. Left out is what may not be answered twice or sent
elsewhere: requests with tools, images or state, and those whose key, rules or headers forbid it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.db import Error as DatabaseFailure

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import only_text
from optimizer.domain.result import CompletionResult
from optimizer.domain.turns import PROBE
from optimizer.quality.judge import Store
from optimizer.quality.judge_pace import JudgePace, Pace
from optimizer.quality.pair_judge import (
    EVEN,
    JudgingBill,
    JudgingFailed,
    NoCompleteAnswer,
    PairJudge,
)
from optimizer.shared.tasks import Background
from providers.chat import Chat
from routing.models import ModelRef, NoEligibleModel

logger = logging.getLogger(__name__)

_MAX_WAITING = 100
_AT_ONCE = 4
_ONE_TEXT = "stop"
_CHANGING = frozenset({"effort", "compression", "short_answers", "cascade"})


@dataclass(slots=True)
class SecondAnswer:
    """One request that is answered twice; its texts are kept only until it is judged.

    ``score`` is that of the second answer, 0-1; ``error`` says why there is none. ``ready`` is a
    second answer that is there already, and ``anew`` asks for one even of the same model.
    """

    analyzed: AnalyzedRequest
    served: ModelRef
    served_cost: Decimal | None
    text: str
    other: ModelRef | None = None
    score: float | None = None
    error: str = ""
    ready: str = ""
    anew: bool = False
    bill: JudgingBill = field(default_factory=JudgingBill)

    @classmethod
    def of(cls, analyzed: AnalyzedRequest, result: CompletionResult) -> SecondAnswer:
        """Return the case of an answer that was given."""
        completion = result.completion
        served = ModelRef(completion.provider, completion.model)
        return cls(analyzed, served, result.cost, completion.text)

    @property
    def other_cost(self) -> Decimal | None:
        """Return what the second answer cost in USD."""
        return self.served_cost if self.other == self.served else self.bill.answer_cost


def left_out(analyzed: AnalyzedRequest, result: CompletionResult, judge: ModelRef) -> str:
    """Return why a request may not be answered twice and judged, "" if it may.

    The judge reads the request too, so it must be a model that the client's key and the
    operator's rules allow.
    """
    request, completion = analyzed.request, result.completion
    if request.turn == PROBE:
        return "asks for no words"
    if not only_text(request.as_asked):
        return "tools, images or state"
    if request.cache.no_store:
        return "the client forbids to store"
    if analyzed.effect.exclusion_reason(*judge):
        return "the judge may not read it"
    if completion.finish_reason != _ONE_TEXT or not completion.text:
        return "no complete answer"
    return ""


def levers_act(analyzed: AnalyzedRequest) -> bool:
    """Return whether a lever may change the answer, whichever arm was drawn.

    The second answer is had without levers, so that it would not be compared with models alone.
    """
    return any(trial.lever in _CHANGING for trial in analyzed.request.trials)


def neutral(chat: Chat) -> Chat:
    """Return ``chat`` without the client's own body: fields that act or store stay behind."""
    return replace(chat, source=None, extras=(), chosen=True, cache_session="", user="")


class SecondAnswers:
    """Gets second answers and their verdicts, a few at a time, as far as the money goes.

    ``pace`` says how much may be judged now, ``may_spend`` whether anything may; both read the
    database. ``can_record`` is whether the database takes records.
    """

    def __init__(
        self,
        pairs: PairJudge,
        store: Store,
        pace: JudgePace,
        *,
        can_record: Callable[[], bool] = lambda: True,
        may_spend: Callable[[], bool] | None = None,
        seed: int | None = None,
    ) -> None:
        self._pairs = pairs
        self._store = store
        self._can_record = can_record
        self._may_spend = may_spend
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._few_at_once = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._background = Background()

    @property
    def judge(self) -> ModelRef:
        """Return the model that judges."""
        return self._pairs.model

    def drawn(self, share: float) -> bool:
        """Return whether a request falls into a random sample of this share."""
        return self._random.random() < share

    def start(
        self,
        case: SecondAnswer,
        choose: Callable[[], ModelRef | None],
        record: Callable[[SecondAnswer], object],
        count: Callable[[str], None] = lambda outcome: None,
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        """Answer a request a second time in the background.

        ``choose`` returns the model of the second answer, ``None`` for none; ``record`` stores
        the case on the database's thread, and ``count`` is given the outcome. ``wanted`` reads
        in the database whether the second answer is still of use.
        """
        if self._waiting >= _MAX_WAITING:
            count("too many at once")
            return
        self._waiting += 1
        self._background.run(self._run(case, choose, record, count, wanted))

    async def drain(self) -> None:
        """Wait until all started cases are done."""
        await self._background.drain()

    async def _run(
        self,
        case: SecondAnswer,
        choose: Callable[[], ModelRef | None],
        record: Callable[[SecondAnswer], object],
        count: Callable[[str], None],
        wanted: Callable[[], bool] | None,
    ) -> None:
        try:
            async with self._few_at_once:
                if wanted is not None and not await self._store(wanted):
                    return
                if not await self._has_its_turn():
                    count("daily budget")
                    return
                large = case.analyzed.request.chat.large
                case.other = await asyncio.to_thread(choose) if large else choose()
                if case.other is None:
                    count("no other model may answer")
                    return
                await self._judge(case, case.other)
        except NoEligibleModel:
            count("no other model may answer")
            return
        except JudgingFailed as failed:
            case.error = str(failed)
        except Exception as failure:  # what was spent is recorded all the same
            case.error = f"the service failed with {type(failure).__name__}"
            logger.error("A request could not be answered twice", exc_info=failure)
        finally:
            self._waiting -= 1
        count(case.error or "judged")
        if case.other is not None:
            await self._record(case, record)

    async def _has_its_turn(self) -> bool:
        if not self._can_record():
            return False  # what cannot be recorded is not bought
        if self._may_spend is not None and not await self._store(self._may_spend):
            return False
        pace: Pace = await self._store(self._pace.now)
        return not pace.spent and self.drawn(pace.share)

    async def _judge(self, case: SecondAnswer, other: ModelRef) -> None:
        chat = neutral(case.analyzed.request.as_asked)
        if case.ready:
            case.score = await self._pairs.score(case.bill, chat, case.ready, case.text)
            return
        if other == case.served and not case.anew:
            case.score = EVEN
            return
        try:
            second = await self._pairs.second_answer(case.bill, other, chat)
        except NoCompleteAnswer:
            if case.anew:
                raise  # it says nothing of what is compared: both have the same model
            case.score = 0.0  # the client had a whole answer, and would have had none
            return
        case.score = await self._pairs.score(case.bill, chat, second, case.text)

    async def _record(self, case: SecondAnswer, record: Callable[[SecondAnswer], object]) -> None:
        try:
            await self._store(record, case)
        except DatabaseFailure as failure:  # this task runs in the background: log it here
            kind, spent = type(failure).__name__, case.bill.spent
            logger.error("A second answer that cost $%s could not be recorded (%s)", spent, kind)
