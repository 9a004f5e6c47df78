"""Helpers for columns that several tables share."""

from __future__ import annotations

from routing.models import ModelRef


def choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the choices of a column, each value being its own label."""
    return [(value, value) for value in values]


class ModelRefMixin:
    """Gives rows with the columns ``provider`` and ``model`` the model they name."""

    provider: str
    model: str

    @property
    def ref(self) -> ModelRef:
        """The model of the row, as "provider/model"."""
        return ModelRef(self.provider, self.model)
