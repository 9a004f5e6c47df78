"""Shadow evaluation: answers a share of the requests that name a model as routing would have.

After a request was answered by the model that it names, the model that hybrid routing would have
chosen answers it too, and the judge compares both answers (:mod:`optimizer.quality.pair_judge`).
Clients notice nothing. Left out is what may not be answered twice or sent elsewhere: requests with
tools, images or state, and those whose key, rules or headers forbid it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.db import Error as DatabaseFailure

from analytics.models import Comparison
from analytics.quality.comparisons import ScoredAnswer
from analytics.quality.shadow import ShadowFacts, shadow_counts_add, shadow_record
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
from routing.models import ModelRef, NoEligibleModel, RoutingDecision

logger = logging.getLogger(__name__)

AsRouted = Callable[[AnalyzedRequest], RoutingDecision]
"""Returns what hybrid routing would choose for a request that names its model."""

_MAX_WAITING = 100
_AT_ONCE = 4
_ONE_TEXT = "stop"


@dataclass(frozen=True, slots=True)
class ShadowPolicy:
    """How much to evaluate: a share ``rate`` (0-1) of the named requests.

    ``daily_budget`` is the most to spend on second answers and on judging, in USD per UTC day.
    """

    rate: float
    daily_budget: Decimal


@dataclass(slots=True)
class _ShadowCase:
    """One request that is answered twice; its texts are kept only until it is judged."""

    analyzed: AnalyzedRequest
    served: ModelRef
    served_cost: Decimal | None
    text: str
    shadow: ModelRef | None = None
    score: float | None = None
    error: str = ""
    bill: JudgingBill = field(default_factory=JudgingBill)


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


def neutral(chat: Chat) -> Chat:
    """Return ``chat`` without the client's own body: fields that act or store stay behind."""
    return replace(chat, source=None, extras=(), chosen=True, cache_session="", user="")


class Shadow:
    """Answers sampled requests a second time, in the background. One per process."""

    def __init__(
        self,
        policy: ShadowPolicy,
        pairs: PairJudge,
        store: Store,
        *,
        can_record: Callable[[], bool] = lambda: True,
        seed: int | None = None,
    ) -> None:
        self._policy = policy
        self._pairs = pairs
        self._store = store
        self._can_record = can_record
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._pace = JudgePace(policy.rate, policy.daily_budget, Comparison.Source.SHADOW)
        self._few_at_once = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._background = Background()

    def consider(
        self, analyzed: AnalyzedRequest, result: CompletionResult, as_routed: AsRouted
    ) -> None:
        """Answer this request a second time in the background, if it falls into the sample."""
        drawn = self._random.random() < self._policy.rate
        if analyzed.request.only is None:
            if drawn:
                self._pace.sampled(suitable=False)
            return
        self._count("named")
        reason = left_out(analyzed, result, self._pairs.model)
        self._count(reason or "eligible")
        if not drawn:
            return
        self._pace.sampled(suitable=not reason)
        if reason:
            return
        self._count("sampled")
        if self._waiting >= _MAX_WAITING:
            self._count("too many at once")
            return
        completion = result.completion
        served = ModelRef(completion.provider, completion.model)
        case = _ShadowCase(analyzed, served, result.cost, completion.text)
        self._waiting += 1
        self._background.run(self._evaluate(case, as_routed))

    async def drain(self) -> None:
        """Wait until all started evaluations are done, and count them."""
        await self._background.drain()
        if self._counts:
            await self._store(self.write_counts)

    def write_counts(self) -> None:
        """Add what was counted since the last call to the database: not for the event loop."""
        with self._counting:
            counts, self._counts = self._counts, Counter()
        try:
            shadow_counts_add(counts)
        except DatabaseFailure:
            with self._counting:
                self._counts.update(counts)
            raise

    def _count(self, outcome: str) -> None:
        with self._counting:
            self._counts[outcome] += 1

    async def _evaluate(self, case: _ShadowCase, as_routed: AsRouted) -> None:
        try:
            async with self._few_at_once:
                if not await self._has_its_turn():
                    self._count("daily budget")
                    return
                await self._judge(case, as_routed)
        except NoEligibleModel:
            self._count("no other model may answer")
            return
        except JudgingFailed as failed:
            case.error = str(failed)
        except Exception as failure:  # what was spent is recorded all the same
            case.error = f"the service failed with {type(failure).__name__}"
            logger.error("A request could not be evaluated", exc_info=failure)
        finally:
            self._waiting -= 1
        self._count(case.error or "judged")
        if case.shadow is not None:
            await self._record(case, case.shadow)

    async def _has_its_turn(self) -> bool:
        if not self._can_record():
            return False  # what cannot be recorded is not bought
        pace: Pace = await self._store(self._pace.now)
        return not pace.spent and self._random.random() < pace.share

    async def _judge(self, case: _ShadowCase, as_routed: AsRouted) -> None:
        chat = case.analyzed.request.as_asked
        if chat.large:
            decision = await asyncio.to_thread(as_routed, case.analyzed)
        else:
            decision = as_routed(case.analyzed)
        case.shadow = decision.ref
        if case.shadow == case.served:
            case.score = EVEN
            return
        chat = neutral(chat)
        try:
            second = await self._pairs.second_answer(case.bill, case.shadow, chat)
        except NoCompleteAnswer:
            case.score = 0.0  # the client had a whole answer, and would have had none
            return
        case.score = await self._pairs.score(case.bill, chat, second, case.text)

    async def _record(self, case: _ShadowCase, shadow: ModelRef) -> None:
        request = case.analyzed.request
        same = shadow == case.served
        facts = ShadowFacts(
            requested_model=request.requested_model,
            turn=request.turn,
            agent=request.session.agent,
            later_turn=any(message.role == "assistant" for message in request.chat.messages),
            same_model=same,
            served_cost=case.served_cost,
            shadow_cost=case.served_cost if same else case.bill.answer_cost,
        )
        scores = case.score, None if case.score is None else EVEN
        judged = case.bill.judgement(str(self._pairs.model), case.error)
        try:
            await self._store(
                shadow_record,
                request.request_id,
                ScoredAnswer(*shadow, scores[0]),
                ScoredAnswer(*case.served, scores[1]),
                facts,
                judged,
            )
        except DatabaseFailure as failure:  # this task runs in the background: log it here
            kind, spent = type(failure).__name__, case.bill.spent
            logger.error("A second answer that cost $%s could not be recorded (%s)", spent, kind)
