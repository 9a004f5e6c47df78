"""Shows what a row holds as people read it: short numbers, lists, and objects with their names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.money_shown import shown_dollars

_MONEY_PLACES = 10
_NONE = "–"
_SHOWN = (models.BooleanField, models.DecimalField, models.FloatField, models.JSONField)


def plain_value(field: models.Field, value: Any) -> str | SafeString:
    """Return the value of a number, a yes or no, money or JSON as text for people."""
    if value is None or value == [] or value == {}:
        return _NONE
    if isinstance(field, models.BooleanField):
        return "yes" if value else "no"
    if isinstance(field, models.DecimalField) and field.decimal_places == _MONEY_PLACES:
        return shown_dollars(Decimal(value))
    if isinstance(field, models.FloatField):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(field, models.JSONField):
        return _json(value)
    return str(value)


def plain_words(value: Any) -> str:
    """Return a value of a history as text: lists as their parts, nothing as a dash."""
    if value in (None, "", [], {}):
        return _NONE
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain_words(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _json(value: Any) -> str | SafeString:
    if isinstance(value, list) and all(isinstance(part, (str, int)) for part in value):
        return ", ".join(map(str, value))
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="json">{}</pre>', text)


class PlainValuesMixin(ModelAdmin):
    """A read-only admin whose lists and pages show numbers, amounts and JSON for people.

    It comes before mixins that hide columns, which know these by their names.
    """

    _kinds: tuple[type[models.Field], ...] = _SHOWN

    def get_list_display(self, request: Any) -> Any:
        """Return the columns, those with raw values as functions that show them."""
        return list(self._shown(super().get_list_display(request)))

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """Return the fields, those with raw values as functions that show them."""
        return self._worded(super().get_fieldsets(request, obj))

    def _worded(self, fieldsets: Any) -> list[Any]:
        return [
            (name, {**options, "fields": list(self._shown(options["fields"]))})
            for name, options in fieldsets
        ]

    def _shown(self, fields: Iterable[Any]) -> Iterable[Any]:
        for name in fields:
            try:
                field = self.opts.get_field(name) if isinstance(name, str) else None
            except FieldDoesNotExist:
                field = None
            plain = isinstance(field, self._kinds) and not hasattr(self, str(name))
            yield _shower(field) if plain else name


class PlainListsMixin(PlainValuesMixin):
    """An admin with forms whose lists show JSON for people.

    So do its pages to users who may look, and change nothing.
    """

    _kinds = (models.JSONField,)

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """Return the fields: of the form, or as functions that show them."""
        fieldsets = super(PlainValuesMixin, self).get_fieldsets(request, obj)
        return self.worded(request, obj, fieldsets)

    def worded(self, request: Any, obj: Any, fieldsets: Any) -> Any:
        """Return the fieldsets; to users who may only look, with raw values as functions."""
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return self._worded(fieldsets)


def _shower(field: Any) -> Callable[[Any], str | SafeString]:
    def show(row: Any) -> str | SafeString:
        return plain_value(field, getattr(row, field.attname))

    show.short_description = field.verbose_name  # type: ignore[attr-defined]
    show.admin_order_field = field.name  # type: ignore[attr-defined]
    show.__name__ = str(field.name)
    return show
