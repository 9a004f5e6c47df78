"""Two answers to one request, judged blind: who is better, and what it costs to know.

A judge is shown both answers in both orders, so that a preference for the first position cancels
out (Zheng et al. 2023, "Judging LLM-as-a-Judge", section 3.4). The score is the share of the
two verdicts that an answer won, and a tie counts half.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from analytics.budgets.claims import Charge, Cost, Payer
from analytics.ledger.ledger import BudgetsUnavailable
from analytics.ledger.write_health import RecordsUnavailable
from analytics.quality.comparisons import Judgement
from optimizer.budgets.reservations import Budgets
from optimizer.domain.request import ASSUMED_MAX_TOKENS
from optimizer.quality.judge_prompt import Side, conversation_text, question, verdict_of
from providers.chat import Chat
from providers.completion import Completion
from providers.pricing import PriceBook
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller
from providers.values import changed
from routing.models import ModelRef

_ZERO = Decimal(0)
EVEN = 0.5
"""The score of an answer that is as good as the other."""
_POINTS: dict[Side, float] = {"first": 1.0, "tie": EVEN, "second": 0.0}
_REVERSED: dict[Side, Side] = {"first": "second", "second": "first", "tie": "tie"}


class JudgingFailed(Exception):
    """There is no verdict; the message says why, without any text of prompt or answer."""


class NoCompleteAnswer(JudgingFailed):
    """The second model was called, and gave no answer that could stand in for the first."""


@dataclass(slots=True)
class JudgingBill:
    """What judging one request has cost so far in USD, call by call, and its verdicts."""

    judge_cost: Decimal = _ZERO
    answer_cost: Decimal = _ZERO
    verdicts: list[str] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    @property
    def spent(self) -> Decimal:
        """Return the USD spent on the second answer and on its judging."""
        return self.judge_cost + self.answer_cost

    def judgement(self, judge: str, error: str) -> Judgement:
        """Return what is recorded of it; ``error`` says why there is no verdict."""
        return Judgement(judge, self.judge_cost, self.answer_cost, self.verdicts, error, self.costs)


class PairJudge:
    """Gets a second answer to a request, and asks ``model`` which of two answers is better.

    The service pays: no client's key, user or project is charged. ``budgets`` hold the money of
    each call.
    """

    def __init__(
        self,
        model: ModelRef,
        caller: ResilientCaller,
        prices: PriceBook,
        budgets: Budgets | None = None,
    ) -> None:
        self.model = model
        self._caller = caller
        self._prices = prices
        self._budgets = budgets

    async def second_answer(self, bill: JudgingBill, model: ModelRef, chat: Chat) -> str:
        """Return the text of ``model``'s answer. Raises :class:`JudgingFailed`."""
        completion, cost = await self._call(bill, model, chat)
        bill.answer_cost += cost
        if completion is None:
            raise JudgingFailed("the other model did not answer")
        if completion.finish_reason != "stop" or not completion.text:
            raise NoCompleteAnswer("the other model gave no complete answer")
        return completion.text

    async def score(self, bill: JudgingBill, chat: Chat, answer: str, other: str) -> float:
        """Return the share of two verdicts that ``answer`` won over ``other``, 0-1.

        Raises :class:`JudgingFailed`.
        """
        conversation = conversation_text(chat)
        residency = chat.residency
        in_order = changed(question(conversation, answer, other), residency=residency)
        first = await self._verdict(bill, in_order)
        in_reverse = changed(question(conversation, other, answer), residency=residency)
        second = _REVERSED[await self._verdict(bill, in_reverse)]
        return (_POINTS[first] + _POINTS[second]) / 2

    async def _verdict(self, bill: JudgingBill, chat: Chat) -> Side:
        completion, cost = await self._call(bill, self.model, chat)
        bill.judge_cost += cost
        side = verdict_of(completion.text) if completion is not None else None
        if side is None:
            raise JudgingFailed("the judge gave no verdict")
        bill.verdicts.append(side)
        return side

    async def _call(
        self, bill: JudgingBill, model: ModelRef, chat: Chat
    ) -> tuple[Completion | None, Decimal]:
        """Return the answer, if any, and the charge in USD for it and for failed tries."""
        if self._prices.rates(*model) is None:
            raise JudgingFailed(f"no price is known for {'/'.join(model)}")
        reservation = self._budgets.own_reservation(chat) if self._budgets is not None else None
        if reservation is not None:
            chat = replace(chat, max_tokens=chat.max_tokens or ASSUMED_MAX_TOKENS)
        completion = None
        attempts: list[Attempt] = []
        authorize = reservation.authorize if reservation else None
        try:
            completion = await self._caller.call([model], chat, attempts, authorize)
        except AllProvidersFailed:
            pass  # the attempts say why
        except BudgetsUnavailable:
            raise JudgingFailed("the budgets could not be checked") from None
        except RecordsUnavailable:
            raise JudgingFailed("nothing could be recorded") from None
        finally:
            # Whatever ends the call: recording the comparison settles what is held for it.
            charges = self._charges(completion, attempts)
            request_id, at = (
                (reservation.request_id, reservation.asked_at)
                if reservation
                else (uuid.uuid4(), datetime.now(UTC))
            )
            bill.costs.append(Cost(request_id, at, Payer(), charges))
        return completion, sum((charge.amount for charge in charges), _ZERO)

    def _charges(
        self, completion: Completion | None, attempts: Sequence[Attempt]
    ) -> tuple[Charge, ...]:
        used = [(a.provider, a.model, a.usage) for a in attempts]
        if completion is not None:
            used.append((completion.provider, completion.model, completion.usage))
        return tuple(
            Charge(provider, model, cost)
            for provider, model, usage in used
            if (cost := self._prices.charged(provider, model, usage))
        )
