"""Says which budgets concern a request and a model, and names those that refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from analytics.budgets.claims import Payer, Refusal, of_model
from analytics.models import Budget
from optimizer.domain.request import GatewayRequest
from routing.models import ModelOption

_WHO = {
    Budget.Scope.KEY: "key",
    Budget.Scope.USER: "user",
    Budget.Scope.TEAM: "team",
    Budget.Scope.PROJECT: "project",
    Budget.Scope.SESSION: "session",
}


def payer_of(request: GatewayRequest) -> Payer:
    """Return the key, user, team and project whose budgets pay for ``request``."""
    client = request.client
    return Payer.of(
        key=client.key,
        user=request.user_id,
        tenant=client.tenant,
        project=client.project,
        session=request.session_id,
    )


def must_refuse(refusals: Iterable[Refusal]) -> bool:
    """Return whether a budget of the client refuses the request, whatever model it uses.

    Such a budget is set to refuse at its limit, so no cheaper model is tried.
    """
    return any(r.at_limit == Budget.AtLimit.REFUSE and not r.of_models for r in refusals)


def bars(refusal: Refusal, option: ModelOption, worst: Decimal) -> bool:
    """Return whether ``refusal`` keeps a request that may cost ``worst`` USD from this model."""
    return is_of(refusal, option.provider, option.model) and worst > refusal.available


def is_of(limit: Budget | Refusal, provider: str, model: str) -> bool:
    """Return whether a limit concerns this model; one of a client concerns every model."""
    if not limit.subject:
        return True
    if limit.scope == Budget.Scope.PROVIDER:
        return limit.subject == provider
    return limit.scope != Budget.Scope.MODEL or of_model(limit.subject, provider, model)


def refused_by(refusals: Sequence[Refusal]) -> tuple[str, datetime | None]:
    """Return whose budgets refuse, in words, and when more is available, ``None`` for never."""
    resets = [refusal.resets_at for refusal in refusals]
    known = [moment for moment in resets if moment is not None]
    resets_at = max(known) if len(known) == len(resets) else None
    return " and ".join(sorted({_whose(refusal) for refusal in refusals})), resets_at


def _whose(refusal: Refusal) -> str:
    if refusal.of_models:
        return "the budgets of models"
    who = _WHO.get(Budget.Scope(refusal.scope))
    return f"this {who}'s budget" if who else "the budget"


def concerns(budget: Budget, payer: Payer) -> bool:
    """Return whether ``budget`` counts what ``payer`` pays for."""
    if budget.scope not in _WHO:
        return True
    subject = getattr(payer, budget.scope)
    # Only the database knows which keys replaced which.
    return bool(subject) and (
        not budget.subject or budget.scope == Budget.Scope.KEY or subject == budget.subject
    )
