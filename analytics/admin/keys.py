"""Admin pages of teams, projects and API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from analytics.access.keys import NewKey, key_make, key_revoke, key_rotate
from analytics.access.roles import scopes_beyond
from analytics.access.versioned_rows import save_versioned
from analytics.admin.fields import ChoicesField, LabelledDateTime, LinesField
from analytics.models import ApiKey, Project, Team
from analytics.models.keys import SCOPES, default_scopes

_OVERLAP = timedelta(days=1)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    """Lists and edits teams."""

    list_display = ("name",)
    search_fields = ("name",)


class ProjectForm(forms.ModelForm):
    """Edits a project; its tags are written one per line."""

    tags = LinesField(help_text="One per line; every request carries them.")

    class Meta:
        model = Project
        fields = ("name", "team", "tags")


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Lists and edits projects."""

    form = ProjectForm
    list_display = ("name", "team", "tags")


class ApiKeyForm(forms.ModelForm):
    """Edits what a key may do and its limits."""

    user: Any = None
    """Who fills in the form; the admin sets it."""
    scopes = ChoicesField(
        SCOPES,
        required=True,
        initial=default_scopes,
        help_text="read: the statistics of all tenants, for reports and dashboards. "
        "manage: what programs may change by the management API.",
    )
    model_names = LinesField(
        label="Models", help_text="Allowed models, one per line, with * and ?; empty: all."
    )
    addresses = LinesField(help_text="Allowed IP addresses or networks, one per line; empty: all.")

    class Meta:
        model = ApiKey
        fields = (
            "name", "user", "team", "project", "scopes", "model_names", "addresses",
            "requests_per_minute", "tokens_per_minute", "concurrent_requests",
            "quality_target", "cost_cap", "auto_route", "strict", "expires_at",
        )  # fmt: skip

    def clean_scopes(self) -> list[str]:
        """Return the scopes; nobody gives a key more than the own rights."""
        scopes: list[str] = self.cleaned_data["scopes"]
        if beyond := scopes_beyond(self.user, scopes):
            raise forms.ValidationError(
                f"Your own rights do not reach so far: {', '.join(beyond)}."
            )
        return scopes


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """Lists, makes, replaces and revokes API keys.

    Keys are revoked, not deleted: requests were made with them.
    """

    form = ApiKeyForm
    list_display = (
        "name", "key_start", "user", "team", "project", "scopes", "state", "last_used_at",
    )  # fmt: skip
    list_filter = ("team", "project")
    search_fields = ("name", "prefix", "user")
    actions = ("revoke_selected", "rotate_selected")
    formfield_overrides = {
        models.DateTimeField: {
            "form_class": forms.SplitDateTimeField,
            "widget": LabelledDateTime("Expires at"),
        }
    }

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false: keys are revoked instead."""
        return False

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form, which knows who fills it in."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        return type("UsersApiKeyForm", (form,), {"user": request.user})

    @admin.display(description="key")
    def key_start(self, key: ApiKey) -> str:
        """Return the beginning of the key."""
        return f"{key.prefix}…"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Return whether the key is valid, and until or since when (UTC)."""
        if key.revoked_at is not None:
            return f"revoked {key.revoked_at:%Y-%m-%d}"
        if key.expires_at is None:
            return "valid"
        ended = key.expires_at <= timezone.now()
        return f"{'expired' if ended else 'valid until'} {key.expires_at:%Y-%m-%d %H:%M}"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save a changed key, or make a new one and remember its secret for this response."""
        if change:
            save_versioned(obj)
        else:
            request.made_keys = [key_make(obj)]  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> Any:
        """Show the secret of the new key, once."""
        return self._show(request, request.made_keys)  # type: ignore[attr-defined]

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke the selected keys."""
        for key in queryset:
            if key_revoke(key):
                self.log_change(request, key, "revoked")
        self.message_user(
            request, "Revoked. All workers apply this within a second.", messages.SUCCESS
        )

    @admin.action(description="Replace, old key valid for one more day", permissions=["change"])
    def rotate_selected(
        self, request: HttpRequest, queryset: QuerySet[ApiKey]
    ) -> HttpResponse | None:
        """Replace the selected keys and show the new secrets, once."""
        keys = list(queryset.filter(revoked_at=None))
        if not keys:
            self.message_user(request, "Revoked keys cannot be replaced.", messages.ERROR)
            return None
        if beyond := scopes_beyond(request.user, {scope for key in keys for scope in key.scopes}):
            words = f"Your own rights do not reach so far: {', '.join(sorted(beyond))}."
            self.message_user(request, words, messages.ERROR)
            return None
        made = []
        for key in keys:
            self.log_change(request, key, "replaced")
            made.append(key_rotate(key, _OVERLAP))
        return self._show(request, made)

    def _show(self, request: HttpRequest, made: list[NewKey]) -> HttpResponse:
        """Return the keys in the response itself: a redirect would need to store the secret."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key" if len(made) == 1 else "API keys",
            "opts": self.opts,
            "made": made,
        }
        response = TemplateResponse(request, "admin/analytics/made_keys.html", context)
        response["Cache-Control"] = "no-store"
        return response
