"""Database tables. Money is USD in ``Decimal``, null if a price is unknown; times are aware UTC."""

from __future__ import annotations

from analytics.models.alerts import Alert, AlertRule
from analytics.models.answers import CachedResponse
from analytics.models.autopilot import (
    AutopilotModel,
    AutopilotPair,
    AutopilotStep,
    AutopilotSwitch,
    AutopilotTrial,
    AutopilotUse,
)
from analytics.models.budgets import (
    Budget,
    BudgetAccount,
    BudgetHold,
    BudgetMark,
    BudgetUsage,
    Worker,
)
from analytics.models.comparisons import Comparison
from analytics.models.deferred import (
    ClientBatch,
    DeferredRequest,
    LaneLease,
    ProviderBatch,
    StoredFile,
)
from analytics.models.developers import Developer, Invitation, KeyTemplate
from analytics.models.experiments import Experiment
from analytics.models.keys import ApiKey, Project, Team
from analytics.models.levers import Lever, LeverChange, LeverResult
from analytics.models.notification_target import NotificationChannel
from analytics.models.notifications import Digest, DigestIssue, Notification
from analytics.models.operation import ModelEntry, ModelSwitch, ProviderKey, RuntimeSetting
from analytics.models.prices import PriceOverride, PriceSeen
from analytics.models.provider_objects import ProviderObject, StoredResponse
from analytics.models.provider_statements import ProviderStatementLine, ReconciledEstimate
from analytics.models.requests import RequestRecord, RoutingMetric
from analytics.models.rules import RoutingRule, RuleChange
from analytics.models.saved_views import SavedView
from analytics.models.seals import LedgerDay, LedgerSeal
from analytics.models.sessions import AgentSession, SessionStall
from analytics.models.shadow import ShadowAnswer, ShadowCount, ShadowMove
from analytics.models.shortened import ShortenedPart
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
    "AutopilotModel",
    "AutopilotPair",
    "AutopilotStep",
    "AutopilotSwitch",
    "AutopilotTrial",
    "AutopilotUse",
    "Budget",
    "BudgetAccount",
    "BudgetHold",
    "BudgetMark",
    "BudgetUsage",
    "CachedResponse",
    "ClientBatch",
    "Comparison",
    "DailyRollup",
    "DailyTotal",
    "DeferredRequest",
    "Developer",
    "Digest",
    "DigestIssue",
    "Experiment",
    "Feedback",
    "HourlyRollup",
    "Invitation",
    "KeyTemplate",
    "LaneLease",
    "LearnedEvidence",
    "LedgerDay",
    "LedgerSeal",
    "Lever",
    "LeverChange",
    "LeverResult",
    "ModelEntry",
    "ModelSwitch",
    "Notification",
    "NotificationChannel",
    "PriceOverride",
    "PriceSeen",
    "Project",
    "ProviderBatch",
    "ProviderKey",
    "ProviderObject",
    "ProviderStatementLine",
    "ReconciledEstimate",
    "RefusalTotal",
    "RequestRecord",
    "RoutingMetric",
    "RoutingRule",
    "RuleChange",
    "RuntimeSetting",
    "SavedView",
    "SessionStall",
    "ShadowAnswer",
    "ShadowCount",
    "ShadowMove",
    "ShortenedPart",
    "StaleRollupHour",
    "StoredFile",
    "StoredResponse",
    "Team",
    "TotalsState",
    "Worker",
]  # fmt: skip
