"""The lever: draws which requests go through a cascade, and holds what one may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analytics.budgets.claims import Charge
from optimizer.access.rate_limits import RateLimits
from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.gateway.levers.cascade.plan import CascadePlan, CascadePlanner
from optimizer.gateway.levers.cascade.story import planned, recorded
from optimizer.gateway.levers.cascade.walk import Walk
from optimizer.gateway.levers.plans import with_trial
from optimizer.gateway.recording.timing import Timing
from optimizer.policies.levers import ActiveLevers
from optimizer.quality.judge_prompt import MAX_TOKENS, conversation_text, most_judged_tokens
from providers.pricing import PriceBook
from providers.resilience import Attempt, ResilientCaller
from routing.models import RoutingDecision

NAME = "cascade"


@dataclass(slots=True)
class CascadeRun:
    """One request in a cascade: its walk and its trial."""

    walk: Walk
    trial: LeverTrial
    ended: bool = False

    def recorded(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision
    ) -> tuple[AnalyzedRequest, RoutingDecision]:
        """Return request and decision as they are to be recorded, however the walk ended.

        Once it has been called, it returns what it is given.
        """
        if self.ended:
            return analyzed, decision
        self.ended = True
        return recorded(self.walk, self.trial, analyzed, decision)

    def timing(self, whole: Timing) -> Timing:
        """Return the time of a request, with the provider's part of the served call alone."""
        served_ms = self.walk.served_ms if self.walk.served == "cheap" else None
        return whole if served_ms is None else replace(whole, provider=served_ms)


class CascadeLever:
    """Sends requests through a cascade where that is expected to cost less."""

    def __init__(
        self,
        active: ActiveLevers,
        planner: CascadePlanner,
        caller: ResilientCaller,
        prices: PriceBook,
        limits: RateLimits | None = None,
    ) -> None:
        self._prices = prices
        self._active = active
        self._planner = planner
        self._caller = caller
        self._limits = limits

    @property
    def on(self) -> bool:
        """Return whether the lever is in use."""
        return self._active.mode(NAME) != "off"

    async def begin(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        attempts: list[Attempt],
        reservation: Reservation | None,
    ) -> tuple[AnalyzedRequest, CascadeRun | None]:
        """Return the request with its trial, and its cascade if it is to go through one.

        What all calls may cost, and their tokens, are taken before the first call. Where a
        budget or a limit does not have that much, one call is made as usual.
        """
        plan = self._planner.plan(analyzed, decision, self._active.options(NAME))
        if plan is None:
            return analyzed, None
        trial = self._active.draw(
            NAME, analyzed.request, expected=plan.alone.cost, detail=planned(plan)
        )
        if trial is None:
            return analyzed, None
        if trial.treated and (lacking := await self._lacking(analyzed, plan, reservation)):
            trial = replace(trial, detail={**planned(plan), "left_out": lacking})
        elif trial.treated:
            walk = Walk(plan, analyzed, self._caller, attempts, reservation)
            return with_trial(analyzed, trial), CascadeRun(walk, trial)
        return with_trial(analyzed, trial), None

    async def _lacking(
        self, analyzed: AnalyzedRequest, plan: CascadePlan, reservation: Reservation | None
    ) -> str:
        """Take what all calls may need; return what there is not enough of, "" if there is."""
        if reservation is not None and not await self._held(analyzed, plan, reservation):
            return "budget"
        request = analyzed.request
        if self._limits is not None and request.client.tokens_per_minute is not None:
            calls = 1 + plan.cascade.checking.more_calls + (plan.judge is not None)
            tokens = (analyzed.analysis.token_count + request.max_tokens) * calls
            if not await self._limits.reserve_more(request.client, request.request_id, tokens):
                if reservation is not None:
                    reservation.keep_beside(())
                return "tokens a minute"
        return ""

    async def _held(
        self, analyzed: AnalyzedRequest, plan: CascadePlan, reservation: Reservation
    ) -> bool:
        """Hold what all calls may cost; return whether the budgets have it."""
        cascade = plan.cascade
        later = [cascade.strong.ref, *[cascade.cheap.ref] * cascade.checking.more_calls]
        most = [(ref, reservation.worst(*ref)) for ref in later]
        if plan.judge is not None:
            tokens = most_judged_tokens(conversation_text(analyzed.request.as_asked))
            most.append((plan.judge, self._prices.most(*plan.judge, tokens, MAX_TOKENS)))
        charges = [Charge(*ref, amount) for ref, amount in most if amount is not None]
        if len(charges) < len(most):
            return False  # without a price, no budget can be kept
        reservation.keep_beside(charges)
        if await reservation.hold(*cascade.cheap.ref):
            reservation.keep_beside(())
            return False
        return True
