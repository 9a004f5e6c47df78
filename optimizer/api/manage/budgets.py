"""Budgets."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer

from analytics.access.versioned_rows import save_versioned
from analytics.budgets.opening import budget_open
from analytics.models import Budget
from optimizer.api.manage.notifications import (
    PLACES,
    NotifyingBody,
    NotifyingInput,
    NotifyingViewSet,
)
from optimizer.api.manage.views import documented

_COUNTED = ("scope", "subject", "period", "rolling_minutes", "time_zone")
_SET = ("name", "enabled", *_COUNTED, "limit", "at_limit", "soft_limit", *PLACES)


@extend_schema_serializer(component_name="ManagedBudgetInput")
class BudgetInput(NotifyingInput):
    """How much a subject may spend in a period, USD."""

    class Meta:
        model = Budget
        fields = _SET


class ManagedBudgetBody(NotifyingBody):
    """A budget; amounts are USD."""

    class Meta:
        model = Budget
        fields = ("id", *_SET, "created_at")


@documented
class ManagedBudgetsViewSet(NotifyingViewSet):
    """Serves ``/manage/budgets``. Budgets are switched off, not deleted."""

    rows: ClassVar = Budget
    noun = "budget"
    input_class = BudgetInput
    output_class = ManagedBudgetBody
    fixed = _COUNTED
    needed = False

    def insert(self, row: Budget) -> None:
        """Open a budget with what its period has cost so far."""
        budget_open(row)
        self.set_channels(row)

    def update(self, row: Any) -> None:
        """Store a changed budget and its channels. Raises Django's ``ValidationError``."""
        save_versioned(row)
        self.set_channels(row)
