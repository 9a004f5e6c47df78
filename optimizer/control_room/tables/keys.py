"""Model admin of API keys: one form makes a key with its budget, and its page shows its use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import Media, Script
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from analytics.access.developers import keys_assign
from analytics.access.key_budgets import key_make_with_budget
from analytics.access.key_names import user_names
from analytics.access.keys import (
    OVERLAP,
    KeyRevoked,
    NewKey,
    key_change,
    key_revoke,
    key_rotate,
    tenant_of,
)
from analytics.access.own_keys import is_valid
from analytics.access.roles import ScopesBeyondRights, scopes_check
from analytics.admin.plain_values import PlainListsMixin
from analytics.budgets.burn_down import burn_downs
from analytics.budgets.claims import Payer
from analytics.budgets.report import standings_of
from analytics.models import ApiKey, Budget
from analytics.reports.own_history import own_requests
from analytics.reports.own_usage import Owner
from optimizer.control_room.tables.key_form import KeyForm, NewKeyForm
from optimizer.presentation.connections.snippets import ways_to_use
from optimizer.presentation.own_spending import OwnSpending

_DAYS, _LATEST = 30, 10
_WHOM = ("name", "user", "team", "project")
_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "cost_cap")
_CHARTS = Media(
    js=(
        "chartjs/chart.js",
        Script("control_room/spend_chart.js", type="module"),
        Script("analytics/burn_down.js", type="module"),
    )  # type: ignore[arg-type]  # scripts are objects since Django 5.2
)
"""Scripts that draw what a key spent and what is left of its budgets."""
_ROUTING = ("quality_target", "auto_route", "strict", "residency")


@admin.register(ApiKey)
class ApiKeyAdmin(PlainListsMixin, admin.ModelAdmin):
    """Lists, makes, replaces and revokes API keys.

    Keys are revoked, not deleted: requests were made with them.
    """

    form = KeyForm
    list_display = (
        "name", "key_start", "user", "team", "project", "scopes", "state", "last_used_at",
    )  # fmt: skip
    list_filter = ("team", "project")
    list_select_related = ("team", "project")
    list_per_page = 50
    search_fields = ("name", "prefix", "user")
    autocomplete_fields = ("team", "project")
    actions = ("revoke_selected", "rotate_selected")
    change_form_template = "admin/keys/key.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false: keys are revoked instead."""
        return False

    def get_urls(self) -> list[Any]:
        """Return the URLs; one completes the names of users."""
        users = path(
            "users/", self.admin_site.admin_view(self.users_view), name="analytics_apikey_users"
        )
        return [users, *super().get_urls()]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        """Return the form; that of a new key also asks for its budget."""
        if obj is None:
            options["form"] = NewKeyForm
        form: Any = super().get_form(request, obj, change, **options)
        return type("KeyFormOfUser", (form,), {"filled_in_by": request.user})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields by what they are for; what few need is folded."""
        budget = ("budget_limit", "budget_period", "budget_at_limit")
        fieldsets = (
            ("For whom", {"fields": _WHOM}),
            *((("Budget", {"fields": (budget,)}),) if obj is None and _may_budget(request) else ()),
            ("What it may use, and until when", {"fields": ("model_names", "expires_at")}),
            ("Scopes, addresses, limits", {
                "fields": ("scopes", "addresses", _LIMITS), "classes": ("collapse",),
            }),
            ("Routing", {"fields": (_ROUTING,), "classes": ("collapse",)}),
        )  # fmt: skip
        return self.worded(request, obj, fieldsets)

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
        ended = not is_valid(key, timezone.now())
        return f"{'expired' if ended else 'valid until'} {key.expires_at:%Y-%m-%d %H:%M}"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save a changed key, or make a new one and remember its secret for this response."""
        developer = form.cleaned_data["developer"]
        if change:
            key_change(obj)
            if "user" in form.changed_data:
                keys_assign(developer, obj)
        else:
            obj.developer = developer
            budget = form.budget() if _may_budget(request) else None
            request.made_keys = [key_make_with_budget(obj, budget)]  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> Any:
        """Show the secret of the new key, once."""
        return self._show(request, request.made_keys)  # type: ignore[attr-defined]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        """Show the page of a key with what it spent."""
        key = kw.get("obj")
        if key is not None:
            context.update(_use(key), media=context["media"] + _CHARTS)
        return super().render_change_form(request, context, *args, **kw)

    def users_view(self, request: HttpRequest) -> JsonResponse:
        """Return the names of users that hold the term, as Django's autocomplete reads them."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        names = user_names(request.GET.get("term", ""))
        results = [{"id": name, "text": name} for name in names]
        return JsonResponse({"results": results, "pagination": {"more": False}})

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
        try:
            scopes_check(request.user, {scope for key in keys for scope in key.scopes})
        except ScopesBeyondRights as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        made = []
        for key in keys:
            try:
                made.append(key_rotate(key, OVERLAP))
            except KeyRevoked as error:
                self.message_user(request, f"{key.name}: {error}", messages.ERROR)
            else:
                self.log_change(request, key, "replaced")
        if not made:
            return None
        return self._show(request, made)

    def _show(self, request: HttpRequest, made: list[NewKey]) -> HttpResponse:
        """Return the keys in the response itself: a redirect would need to store the secret."""
        base = f"{request.scheme}://{request.get_host()}"
        context = {
            **self.admin_site.each_context(request),
            "title": "API key" if len(made) == 1 else "API keys",
            "opts": self.opts,
            "made": made,
            "ways": ways_to_use(base, made[0].secret if len(made) == 1 else "YOUR_KEY"),
        }
        response = TemplateResponse(request, "admin/keys/made.html", context)
        response["Cache-Control"] = "no-store"
        return response


def _may_budget(request: HttpRequest) -> bool:
    """Return whether the user may make budgets, also together with a key."""
    return bool(request.user.has_perm("analytics.add_budget"))  # type: ignore[union-attr]


def _use(key: ApiKey) -> dict[str, Any]:
    """Return what the key and those that it replaced spent, and what its budgets leave."""
    now = datetime.now(UTC)
    owner = Owner(tenant_of(key), key.prefix)
    standings = standings_of(Payer.of_key(key), now=now)
    own = [account for account in standings if account.budget.scope == Budget.Scope.KEY]
    return {
        "spending": OwnSpending.of(owner, now, days=_DAYS),
        "standings": standings,
        "plots": burn_downs(own or standings, now, most=2),
        "latest": own_requests(owner).requests[:_LATEST],
    }
