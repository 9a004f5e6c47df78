"""Validation errors as one line for the terminal."""

from __future__ import annotations

from django.core.exceptions import ValidationError


def validation_message(error: ValidationError) -> str:
    """Return each field with its messages."""
    return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
