"""Key templates: what developers may do with keys that they make for themselves."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema_serializer

from analytics.access.key_budgets import template_apply
from analytics.models import KeyTemplate
from optimizer.api.manage.keys import OwnedInput
from optimizer.api.manage.views import RowsViewSet, documented, texts_field

_SET = (
    "name", "enabled", "until", "for_single_sign_on", "team", "project", "budget", "period",
    "at_limit", "model_names", "most_keys", "days", "requests_per_minute", "tokens_per_minute",
    "residency",
)  # fmt: skip


@extend_schema_serializer(component_name="KeyTemplateInput")
class KeyTemplateInput(OwnedInput):
    """What a developer's keys may do. The budget, USD, is for all keys of one developer."""

    model_names = texts_field()
    residency = texts_field(32)

    class Meta:
        model = KeyTemplate
        fields = _SET


@extend_schema_serializer(component_name="KeyTemplateBody")
class KeyTemplateBody(KeyTemplateInput):
    """A key template."""

    class Meta:
        model = KeyTemplate
        fields = ("id", *_SET)


@documented
class ManagedKeyTemplatesViewSet(RowsViewSet):
    """Serves ``/manage/key-templates``. Templates are switched off, not deleted."""

    rows: ClassVar = KeyTemplate
    noun = "key template"
    input_class = KeyTemplateInput
    output_class = KeyTemplateBody
    related = ("team", "project")

    def insert(self, row: KeyTemplate) -> None:
        """Store a new template. Raises Django's ``ValidationError``."""
        row.full_clean()
        row.save()

    def update(self, row: KeyTemplate) -> None:
        """Store a changed template, and give its developers' budgets the new amounts."""
        self.insert(row)
        template_apply(row)
