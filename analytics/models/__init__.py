"""Database tables. Money is USD in ``Decimal``, null if a price is unknown; times are aware UTC."""

from __future__ import annotations

from analytics.models.alerts import Alert, AlertRule
from analytics.models.answers import CachedResponse
from analytics.models.budgets import (
    Budget,
    BudgetAccount,
    BudgetHold,
    BudgetMark,
    BudgetUsage,
    Worker,
)
from analytics.models.comparisons import Comparison
from analytics.models.experiments import Experiment
from analytics.models.keys import ApiKey, Project, Team
from analytics.models.levers import Lever, LeverChange
from analytics.models.prices import PriceOverride, PriceSeen
from analytics.models.provider_objects import ProviderObject, StoredResponse
from analytics.models.provider_statements import ProviderStatementLine, ReconciledEstimate
from analytics.models.requests import RequestRecord, RoutingMetric
from analytics.models.rules import RoutingRule, RuleChange
from analytics.models.saved_views import SavedView
from analytics.models.seals import LedgerDay, LedgerSeal
from analytics.models.sessions import AgentSession, SessionStall
from analytics.models.totals import (
    DailyRollup,
    DailyTotal,
    HourlyRollup,
    RefusalTotal,
    StaleRollupHour,
    TotalsState,
)
from analytics.models.verdicts import Feedback, LearnedEvidence

__all__ = [
    "AgentSession",
    "Alert",
    "AlertRule",
    "ApiKey",
    "Budget",
    "BudgetAccount",
    "BudgetHold",
    "BudgetMark",
    "BudgetUsage",
    "CachedResponse",
    "Comparison",
    "DailyRollup",
    "DailyTotal",
    "Experiment",
    "Feedback",
    "HourlyRollup",
    "LearnedEvidence",
    "LedgerDay",
    "LedgerSeal",
    "Lever",
    "LeverChange",
    "PriceOverride",
    "PriceSeen",
    "Project",
    "ProviderObject",
    "ProviderStatementLine",
    "ReconciledEstimate",
    "RefusalTotal",
    "RequestRecord",
    "RoutingMetric",
    "RoutingRule",
    "RuleChange",
    "SavedView",
    "SessionStall",
    "StaleRollupHour",
    "StoredResponse",
    "Team",
    "TotalsState",
    "Worker",
]  # fmt: skip
