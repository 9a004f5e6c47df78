"""What Django's admin would send with every list and form, though none of our pages needs it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin

_UNUSED = ("urlify", "prepopulate", "xregexp")
"""Scripts that fill a slug in from a title: 52 kB, compressed, beside the other 70 of a list."""


class LightAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Leaves out scripts of fields that are filled in from others, where an admin has none."""

    @property
    def media(self) -> forms.Media:
        """Return the styles and scripts of the admin's pages."""
        media: Any = super().media
        if self.prepopulated_fields:
            return media
        scripts = [script for script in media._js if not _is_unused(script)]
        return forms.Media(css=media._css, js=scripts)


def light(admin_class: type[Any]) -> type[Any]:
    """Return ``admin_class`` without the scripts that it does not need."""
    names = {"__module__": admin_class.__module__, "__doc__": admin_class.__doc__}
    return type(admin_class.__name__, (LightAdmin, admin_class), names)


def _is_unused(script: object) -> bool:
    return str(script).startswith("admin/js/") and any(name in str(script) for name in _UNUSED)
