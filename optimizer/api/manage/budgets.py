"""Budgets."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers as s

from analytics.budgets.opening import budget_open
from analytics.models import Budget
from optimizer.api.manage.views import RowsViewSet, StrictModelSerializer, documented

_COUNTED = ("scope", "subject", "period", "rolling_minutes", "time_zone")
_SET = ("name", "enabled", *_COUNTED, "limit", "at_limit", "soft_limit")


@extend_schema_serializer(component_name="ManagedBudgetInput")
class BudgetInput(StrictModelSerializer):
    """How much a subject may spend in a period, USD."""

    class Meta:
        model = Budget
        fields = _SET


class ManagedBudgetBody(s.ModelSerializer):
    """A budget; amounts are USD."""

    class Meta:
        model = Budget
        fields = ("id", *_SET, "created_at")


@documented
class ManagedBudgetsViewSet(RowsViewSet):
    """Serves ``/manage/budgets``. Budgets are switched off, not deleted.

    Where notifications go is set in the admin: an address is a secret of its own.
    """

    rows: ClassVar = Budget
    noun = "budget"
    input_class = BudgetInput
    output_class = ManagedBudgetBody
    fixed = _COUNTED

    def insert(self, row: Budget) -> None:
        """Open a budget with what its period has cost so far."""
        budget_open(row)
