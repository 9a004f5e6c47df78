"""The first page of /me: what was spent, what is left, and which models may answer."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from analytics.budgets.burn_down import burn_downs
from analytics.budgets.report import standings_of
from analytics.models import Budget
from analytics.reports.own_history import own_requests
from optimizer.me.sign_in import sign_in_page
from optimizer.me.visitor import page, visitor_of
from optimizer.presentation.own_spending import OwnSpending

_DAYS = 30
_LATEST = 8
_OWN = (Budget.Scope.KEY, Budget.Scope.USER)


@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the visitor's spending, or the ways to sign in."""
    visitor = visitor_of(request)
    if visitor is None:
        return sign_in_page(request, no_developer=request.user.is_authenticated)
    now = datetime.now(UTC)
    spending = OwnSpending.of(visitor.owner, now, days=_DAYS)
    standings = standings_of(*visitor.payers, now=now)
    # How a team's or everybody's budget burns down is not about this person alone.
    own = [account for account in standings if account.budget.scope in _OWN]
    return page(
        request,
        "me/home.html",
        "Your usage",
        visitor,
        spending=spending,
        standings=standings,
        plots=burn_downs(own, now),
        latest=own_requests(visitor.owner).requests[:_LATEST],
    )
