"""Model admins of developers, whom a link invites, and of the templates for keys of their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.access.developers import developer_add, developer_disable, developer_enable
from analytics.access.invitations import DAYS_VALID, InvitationError, invitation_make
from analytics.access.key_budgets import developer_template_set, template_apply
from analytics.admin.fields import LinesField, UtcDateTimeField
from analytics.admin.plain_values import PlainListsMixin
from analytics.models import Developer, KeyTemplate


class KeyTemplateForm(forms.ModelForm):
    """Edits a template; its models are written one per line."""

    model_names = LinesField(
        label="Models", help_text="Allowed models, one per line, with * and ?; empty: all."
    )
    residency = LinesField(
        help_text="One region per line, such as eu: the data of their requests stays within all."
    )
    until = UtcDateTimeField(
        label="Ends at (UTC)",
        help_text="Afterwards, nobody makes or replaces keys by it. Empty: it does not end.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.budget is not None:
            self.initial["budget"] = f"{self.instance.budget.normalize():f}"

    class Meta:
        model = KeyTemplate
        fields = (
            "name", "enabled", "until", "for_single_sign_on", "team", "project", "budget",
            "period", "at_limit", "model_names", "most_keys", "days", "requests_per_minute",
            "tokens_per_minute", "residency",
        )  # fmt: skip


@admin.register(KeyTemplate)
class KeyTemplateAdmin(PlainListsMixin, admin.ModelAdmin):
    """Lists and edits templates: what developers may do with keys that they make themselves."""

    form = KeyTemplateForm
    list_display = ("name", "enabled", "until", "budget_text", "most_keys", "days", "people")
    search_fields = ("name",)
    ordering = ("name",)
    autocomplete_fields = ("team", "project")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "until", "for_single_sign_on")}),
        ("Budget of each developer", {"fields": (("budget", "period", "at_limit"),)}),
        (
            "Keys",
            {"fields": ("model_names", ("most_keys", "days"), "team", "project", "residency")},
        ),
        ("Limits of each key", {"fields": (("requests_per_minute", "tokens_per_minute"),)}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false: templates are switched off, as keys were made by them."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyTemplate]:
        """Return the templates with the number of their developers."""
        return super().get_queryset(request).annotate(people=Count("developers"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the template, and give its developers' budgets the new amounts."""
        super().save_model(request, obj, form, change)
        if change:
            template_apply(obj)

    @admin.display(description="budget of each")
    def budget_text(self, template: KeyTemplate) -> str:
        """Return the budget of each developer."""
        return template.budget_text or "–"

    @admin.display(description="developers")
    def people(self, template: Any) -> int:
        """Return how many developers have it."""
        return int(template.people)


@admin.register(Developer)
class DeveloperAdmin(admin.ModelAdmin):
    """Lists developers, adds them with a link that invites them, and ends their access."""

    list_display = ("name", "template", "access", "valid_keys", "created_at")
    list_filter = ("template",)
    list_select_related = ("template", "account")
    search_fields = ("name",)
    ordering = ("name",)
    autocomplete_fields = ("template", "account")
    actions = ("invite_selected", "end_selected", "open_selected")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false: their access is ended instead, as requests were made in their name."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields of the form.

        Whoever may change users may also join a developer with an account that exists.
        """
        account = ("account",) if request.user.has_perm("auth.change_user") else ()  # type: ignore[union-attr]
        return ("name", "template", *account, *(() if obj is None else ("access",)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the name of an existing developer as read-only: requests were made by it."""
        return () if obj is None else ("name", "access")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Developer]:
        """Return the developers with the number of their keys that are not revoked."""
        keys = Count("keys", filter=Q(keys__revoked_at=None))
        return super().get_queryset(request).annotate(key_count=keys)

    def save_model(self, request: HttpRequest, obj: Developer, form: Any, change: bool) -> None:
        """Save a changed developer, or add one and remember the link for this response."""
        if change:
            developer_template_set(obj, obj.template)
            return
        developer_add(obj)
        # One who has an account signs in with it.
        invited = [] if obj.account_id else self._invite(request, [obj])
        request.invited = invited  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """Show the link of the invitation, once."""
        invited = request.invited  # type: ignore[attr-defined]
        if not invited:
            return super().response_add(request, obj, post_url_continue)
        return self._show(request, invited)

    @admin.display(description="access")
    def access(self, developer: Developer) -> str:
        """Return how the developer signs in, or why they cannot."""
        if developer.disabled_at is not None:
            return f"ended {developer.disabled_at:%Y-%m-%d}"
        if developer.left_at is not None:
            return f"refused by single sign-on since {developer.left_at:%Y-%m-%d}"
        if developer.account is None:
            return "not yet: invite them, or they come by single sign-on"
        return f"account {developer.account.get_username()}"

    @admin.display(description="keys", ordering="key_count")
    def valid_keys(self, developer: Any) -> int:
        """Return how many keys of theirs are not revoked."""
        return int(developer.key_count)

    @admin.action(description="Invite by a link, also to a new password", permissions=["change"])
    def invite_selected(
        self, request: HttpRequest, queryset: QuerySet[Developer]
    ) -> HttpResponse | None:
        """Make a link for each selected developer, and show the links once."""
        invited = self._invite(request, list(queryset.select_related("account")))
        return self._show(request, invited) if invited else None

    @admin.action(description="End access and revoke their keys", permissions=["change"])
    def end_selected(self, request: HttpRequest, queryset: QuerySet[Developer]) -> None:
        """Close /me to the selected developers and revoke their keys."""
        for developer in queryset:
            revoked = developer_disable(developer)
            self.log_change(request, developer, f"access ended, {revoked} keys revoked")
        self.message_user(request, "Their access has ended, and their keys are revoked.")

    @admin.action(description="Open access again", permissions=["change"])
    def open_selected(self, request: HttpRequest, queryset: QuerySet[Developer]) -> None:
        """Open /me to the selected developers again."""
        for developer in queryset:
            developer_enable(developer)
            self.log_change(request, developer, "access opened again")
        self.message_user(request, "They have access again. Revoked keys stay revoked.")

    def _invite(self, request: HttpRequest, people: list[Developer]) -> list[tuple[Developer, str]]:
        invited = []
        for developer in people:
            try:
                secret = invitation_make(developer)
            except InvitationError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            self.log_change(request, developer, "invited")
            link = request.build_absolute_uri(reverse("me:invitation", args=[secret]))
            invited.append((developer, link))
        return invited

    def _show(self, request: HttpRequest, invited: list[tuple[Developer, str]]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Invitation" if len(invited) == 1 else "Invitations",
            "opts": self.opts,
            "invited": invited,
            "days": DAYS_VALID,
        }
        response = TemplateResponse(request, "admin/keys/invited.html", context)
        response["Cache-Control"] = "no-store"
        return response
