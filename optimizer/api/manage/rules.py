"""Routing rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.audit import Actor
from analytics.models import RoutingRule
from analytics.rules import rule_delete, rule_save
from optimizer.api.manage.views import (
    TAG,
    RowsViewSet,
    StrictModelSerializer,
    documented,
    texts_field,
)
from optimizer.api.v1.schema import ErrorBody
from routing.rule_parser import RuleError

_LISTS = (
    "patterns", "tiers", "tags", "users", "texts", "turns", "agents", "requested_models",
    "weekdays", "model_names", "residency",
)  # fmt: skip
_SET = (
    "name", "position", "enabled", "note", *_LISTS, "only_text", "min_tokens", "max_tokens",
    "since", "until", "zone", "action", "quality_target", "cost_cap", "latency_cap", "deadline",
    "answer_note", "note_everywhere",
)  # fmt: skip


@extend_schema_serializer(component_name="ManagedRuleInput")
class RuleInput(StrictModelSerializer):
    """A routing rule: conditions, and what is done with a request that meets all of them."""

    patterns = texts_field()
    tiers = texts_field()
    tags = texts_field()
    users = texts_field()
    texts = texts_field()
    turns = texts_field()
    agents = texts_field()
    requested_models = texts_field()
    weekdays = texts_field()
    model_names = texts_field()
    residency = texts_field(32)

    class Meta:
        model = RoutingRule
        fields = _SET


@extend_schema_serializer(component_name="ManagedRuleBody")
class ManagedRuleBody(RuleInput):
    """A routing rule."""

    class Meta:
        model = RoutingRule
        fields = ("id", *_SET)


@documented
class ManagedRulesViewSet(RowsViewSet):
    """Serves ``/manage/rules``. Rules of RULES_FILE come first, and are changed in the file."""

    rows: ClassVar = RoutingRule
    noun = "rule"
    input_class = RuleInput
    output_class = ManagedRuleBody

    @extend_schema(
        operation_id="manage_rule_delete",
        summary="Delete a rule",
        tags=[TAG],
        responses={204: None, 404: ErrorBody},
    )
    def destroy(self, request: Request, number: int) -> Response:
        """Delete a rule."""
        rule_delete(self.row(number), who=self.actor(request).name)
        self.apply()
        return Response(status=204)

    def save_new(self, row: RoutingRule, who: Actor) -> None:
        """Save a new rule; its history records who and what."""
        _save(row, who)

    def save_changed(self, row: RoutingRule, before: Mapping[str, Any], who: Actor) -> None:
        """Save a changed rule; its history records who and what."""
        _save(row, who)

    def apply(self) -> None:
        """Use the rules on this worker at once."""
        self.services.rules.refresh()


def _save(row: RoutingRule, who: Actor) -> None:
    row.full_clean()
    try:
        rule_save(row, who=who.name)
    except RuleError as error:
        field = "model_names" if error.field == "models" else error.field
        raise ValidationError({field: [error.message]}) from None
