"""Serializer fields that accept only their own JSON type: "5" is not a number, 1 not a boolean."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from optimizer.domain.deadlines import read_deadline
from providers.residency import ResidencyError, read_regions

_MOST_UNKNOWN = 20
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that databases cannot store: NUL and surrogates."""


class StrictSerializer(serializers.Serializer):
    """Refuses unknown fields, so that a misspelt option is not ignored silently."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the valid fields; raise ``ValidationError`` for unknown ones."""
        if isinstance(data, dict):
            # Each is named in the answer; a body may have any number.
            others = (str(name) for name in data if name not in self.fields)
            unknown = sorted(islice(others, _MOST_UNKNOWN))
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError(
                    {name: [f"Unknown field. Known fields: {known}."] for name in unknown}
                )
        return super().to_internal_value(data)


class StrictTextField(serializers.CharField):
    """A string with more than white space in it; surrounding white space is kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the string; raise ``ValidationError`` for another type."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        return super().to_internal_value(data)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the text; one of white space alone counts as blank."""
        if isinstance(data, str) and not self.allow_blank and not data.strip():
            self.fail("blank")
        return super().run_validation(data)


class TrimmedTextField(serializers.CharField):
    """A JSON string without the white space around it; numbers are refused."""

    def to_internal_value(self, data: Any) -> str:
        """Return the string; raise ``ValidationError`` for another type."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer; strings, booleans and fractions are refused."""

    def to_internal_value(self, data: Any) -> int:
        """Return the integer; raise ``ValidationError`` for another type."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictNumberField(serializers.FloatField):
    """A JSON number; strings and booleans are refused."""

    def to_internal_value(self, data: Any) -> float:
        """Return the number; raise ``ValidationError`` for another type."""
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean; other values, such as 1, are refused."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the boolean; raise ``ValidationError`` for another type."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field(
    {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
class ResidencyField(serializers.Field):
    """Regions that data must not leave: a list, or a text with commas. Its value is a set."""

    def to_internal_value(self, data: Any) -> frozenset[str]:
        """Return the regions; raise ``ValidationError`` for anything else."""
        try:
            return read_regions(data)
        except ResidencyError as error:
            raise serializers.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}") from None

    def to_representation(self, value: frozenset[str]) -> list[str]:
        """Return the regions in their order."""
        return sorted(value)


@extend_schema_field(
    {"oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "minLength": 1}]}
)
class DeadlineField(serializers.Field):
    """A deadline: seconds, a duration such as 6h, or a time with its zone. Its value is seconds."""

    def to_internal_value(self, data: Any) -> float:
        """Return the seconds; raise ``ValidationError`` for anything else."""
        try:
            return read_deadline(data)
        except ValueError as error:
            raise serializers.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}") from None

    def to_representation(self, value: float) -> float:
        """Return the seconds."""
        return value
