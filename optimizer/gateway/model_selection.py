"""Which model answers a request, given what its budgets have room for."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.budgets.reservations import Budgets, Purse, final
from optimizer.domain.result import RoutingUnavailable
from optimizer.gateway.model_options import CatalogueOptions
from optimizer.gateway.prompt_cache import Conversations
from optimizer.gateway.recording.accounting import Bookkeeper
from optimizer.gateway.recording.ledger_entries import RequestFacts
from optimizer.policies.rules import stricter
from routing.engine import RoutingEngine
from routing.models import NoEligibleModel, RoutingContext, RoutingDecision

Withheld = Mapping[tuple[str, str], str]
_NOTHING: Withheld = {}


class Decider:
    """Asks the engine, and records requests for which there is no provider at all."""

    def __init__(
        self,
        engine: RoutingEngine,
        options: CatalogueOptions,
        books: Bookkeeper,
        conversations: Conversations,
        budgets: Budgets | None,
    ) -> None:
        self._engine = engine
        self._options = options
        self._books = books
        self._conversations = conversations
        self._budgets = budgets

    def bounded(self, facts: RequestFacts) -> bool:
        """Whether the completion needs a bound, so that its cost has one."""
        capped = facts.effect.cost_cap is not None or facts.ask.max_cost is not None
        return capped or (self._budgets is not None and self._budgets.concern(facts.ask))

    def preview(self, facts: RequestFacts) -> RoutingDecision:
        """What would be decided now, without exploring, whatever budgets say."""
        context = self._context(facts, explore=False)
        return self._engine.route(context, strategy=facts.ask.strategy, analysis=facts.analysis)

    async def decide(
        self, facts: RequestFacts, started: float
    ) -> tuple[RoutingDecision, Purse | None]:
        """The model that answers, and what pays for it where a budget concerns the request.

        A budget that has no room either refuses or leaves cheaper models to choose
        from. Raises :class:`routing.models.NoEligibleModel`,
        :class:`optimizer.domain.result.RoutingUnavailable`,
        :class:`optimizer.domain.result.BudgetExceeded` and
        :class:`analytics.ledger.ledger.BudgetsUnavailable`.
        """
        purse = self._budgets.purse(facts.ask) if self._budgets is not None else None
        if purse is None:
            return await self._route(facts, started), None
        withheld = purse.withheld(self._options.options())
        decision = await self._route(facts, started, withheld)
        while refusals := await purse.hold(decision.provider, decision.model):
            if final(refusals):
                raise purse.exceeded(refusals)
            withheld |= purse.withheld(self._options.options(), refusals)
            try:
                decision = await self._route(facts, started, withheld)
            except NoEligibleModel:
                raise purse.exceeded(refusals) from None
        return decision, purse

    async def _route(
        self, facts: RequestFacts, started: float, withheld: Withheld = _NOTHING
    ) -> RoutingDecision:
        context = self._context(facts, explore=True, withheld=withheld)
        try:
            return self._engine.route(context, strategy=facts.ask.strategy, analysis=facts.analysis)
        except NoEligibleModel as error:
            if error.excluded:
                raise
            message = (
                "Routing unavailable: no provider is configured. Set GEMINI_API_KEY, "
                "ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY, or LOCAL_PROVIDER=on."
            )
            await self._books.failed(facts, None, (), started, message)
            raise RoutingUnavailable(message, recorded_for=facts.request_id) from None

    def _context(
        self, facts: RequestFacts, *, explore: bool, withheld: Withheld = _NOTHING
    ) -> RoutingContext:
        ask = facts.ask
        return RoutingContext(
            prompt=ask.prompt,
            user_id=ask.user_id or None,
            session_id=ask.session_id or None,
            available_providers=self._options.available_providers(),
            max_cost=stricter(ask.max_cost, facts.effect.cost_cap, min),
            min_quality=stricter(ask.min_quality, facts.effect.quality_target, max),
            max_tokens=ask.max_tokens,
            required_capabilities=frozenset(ask.needs),
            explore=explore,
            only=ask.only,
            held=self._conversations.held(ask.chat),
            effect=facts.effect,
            withheld=withheld,
        )
