"""Helpers for columns that several tables share."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from routing.models import ModelRef
from routing.rule_parser import REGIONS_WANTED, are_regions


def choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the choices of a column, each value being its own label."""
    return [(value, value) for value in values]


def check_regions(value: Any) -> None:
    """Raise ``ValidationError`` unless ``value`` is a short list of names of regions."""
    named = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not named or not are_regions(value):
        raise ValidationError(REGIONS_WANTED)


def residency_field() -> Any:
    """Return a column of the regions that data must not leave, none by default."""
    return models.JSONField(
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        validators=[check_regions],
        help_text="Regions that the data must not leave, such as eu: only what is within all of "
        "them may serve.",
    )


class ModelRefMixin:
    """Gives rows with the columns ``provider`` and ``model`` the model they name."""

    provider: str
    model: str

    @property
    def ref(self) -> ModelRef:
        """The model of the row, as "provider/model"."""
        return ModelRef(self.provider, self.model)
