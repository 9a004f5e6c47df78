"""Form fields and widgets of the admin: lists of texts, dates with times."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime


class ChoicesField(forms.MultipleChoiceField):
    """A list of fixed values, chosen with checkboxes."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, values: tuple[str, ...], **options: Any) -> None:
        choices = [(value, value) for value in values]
        options.setdefault("required", False)
        super().__init__(choices=choices, **options)


class LinesField(forms.CharField):
    """A list of strings, written one per line."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 3, "cols": 60})
        super().__init__(required=False, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        """Return a list as lines of text."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """Return the lines of text that are not blank."""
        return [line.strip() for line in (value or "").splitlines() if line.strip()]


class LabelledDateTime(AdminSplitDateTime):
    """A date and a time, each with a name for screen readers; ``what`` is what they are of."""

    def __init__(self, what: str = "", attrs: Any = None) -> None:
        super().__init__(attrs)
        for widget, part in zip(self.widgets, ("date", "time"), strict=True):
            widget.attrs["aria-label"] = f"{what}, {part} (UTC)" if what else f"{part} (UTC)"


class UtcDateTimeField(forms.DateTimeField):
    """An optional date and time (UTC), picked in one box of the browser."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(required=False, widget=widget, **options)
