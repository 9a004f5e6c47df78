"""What a row's check found, in one line for a terminal."""

from __future__ import annotations

from django.core.exceptions import ValidationError


def mistakes_in(error: ValidationError) -> str:
    """Each field with what is wrong with it."""
    return "; ".join(f"{name}: {' '.join(found)}" for name, found in error.message_dict.items())
