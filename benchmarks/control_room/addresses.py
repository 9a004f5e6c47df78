"""The addresses of every page of the admin, of developers, and of the service's root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

_LED_TO = (
    ("user_id", "user-7"), ("user_id", "rare"), ("tag", "search"), ("tag", "rare"),
    ("pattern__exact", "code"), ("error_code", "rate_limited"),
)  # fmt: skip
# Read from kept sums, from the requests of many and of few values, and of one user.
_EXPLORED = (
    "days=7", "days=30&by=user", "days=90&by=time&then=model", "days=30&by=kind&then=model",
    "days=30&by=agent&then=turn", "days=30&by=user&then=model", "days=30&by=session",
    "days=30&by=team&then=project", "days=30&by=key&then=user", "days=30&by=tag&then=model",
    "days=30&by=time&then=user", "days=90&by=user&then=session", "days=30&by=endpoint&then=turn",
    "days=30&by=model&user=user-7", "days=30&by=all&agent=claude-code", "days=30&tag=search",
    "days=30&by=model&measure=latency", "days=30&by=model&measure=quality",
)  # fmt: skip
_POLICIES = (
    "policy=hybrid", "policy=cheapest&named=on",
    "policy=hybrid&policy=cheapest&policy=best&policy=claude-haiku-5-5&named=on",
)  # fmt: skip
_STATED = ("team", "project", "key", "user", "agent", "tag")


def admin_addresses() -> Iterator[str]:
    """Every page of the admin, with what leads to much data."""
    from tests.browser.test_every_page import own_pages

    yield "/"
    yield from own_pages()
    yield from _own_pages_asked()
    yield from _tables()
    yield from _requests_and_sessions()


def developer_addresses(developer: Any) -> Iterator[str]:
    """Every page that a developer has of their own."""
    from analytics.models import AgentSession, RequestRecord

    yield from (f"/me/{page}" for page in ("", "requests/", "sessions/", "keys/"))
    own = RequestRecord.objects.filter(user_id=developer.name).order_by("-created_at").first()
    if own is not None:
        yield f"/me/requests/{own.pk}/"
        if AgentSession.objects.filter(session_id=own.session_id).exists():
            yield f"/me/session/?id={own.session_id}"


def _own_pages_asked() -> Iterator[str]:
    """The control room's own pages with what they may be asked, and their lazy parts."""
    from django.urls import reverse

    for name in ("index", "charts", "details", "whose", "tools", "levers", "shadow"):
        page = reverse(f"admin:{name}")
        yield from (f"{page}?days={days}" for days in (1, 7, 30, 90))
    yield from (f"{reverse('admin:palette')}?q={query}" for query in ("user", uuid4()))
    yield from (f"{reverse('admin:explore')}?{query}" for query in _EXPLORED)
    yield from (f"{reverse('admin:explore_export')}?{query}" for query in _EXPLORED[:3])
    for name in ("whatif", "whatif_estimates"):
        yield from (f"{reverse(f'admin:{name}')}?{query}&days=30" for query in _POLICIES)
    months = _months()
    for page, queries in (
        ("statements", [f"month={month}&by={by}" for month in months for by in _STATED]),
        ("statements", [f"month={months[0]}&by=team&name=web"]),
        ("invoices", [f"month={month}" for month in months]),
        ("invoice", [f"month={month}&provider=openai" for month in months]),
    ):
        yield from (f"{reverse(f'admin:{page}')}?{query}" for query in queries)


def _months() -> tuple[str, str]:
    """This month and the last one."""
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC)
    return f"{today:%Y-%m}", f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"


def _tables() -> Iterator[str]:
    """Each table of the admin by each of its columns, searched, and the pages of a row."""
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django.urls import reverse

    import optimizer.control_room.urls  # noqa: F401 - it registers the admins of models

    request = HttpRequest()
    request.user = User(is_staff=True, is_superuser=True)
    for model, table in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = reverse(f"{name}_changelist")
        yield listed
        columns = len(table.get_list_display(request))
        yield from (f"{listed}?o={sign}{n}" for n in range(1, columns + 1) for sign in ("", "-"))
        if table.get_search_fields(request):
            yield f"{listed}?q=team-7"
        row = model._default_manager.order_by("pk").last()
        if row is None:
            continue
        yield reverse(f"{name}_change", args=[row.pk])
        yield reverse(f"{name}_history", args=[row.pk])
        if table.has_delete_permission(request, row):
            yield reverse(f"{name}_delete", args=[row.pk])


def _requests_and_sessions() -> Iterator[str]:
    """What the home leads to: frequent values and rare ones; sessions by state and by any id."""
    from django.urls import reverse

    from analytics.models import AgentSession, ApiKey, RequestRecord
    from benchmarks.control_room.million_requests import DEVELOPERS
    from optimizer.control_room.pages.period import ReportPeriod

    requests = reverse("admin:analytics_requestrecord_changelist")
    month = ReportPeriod.last_days(30)
    yield from (f"{requests}?{month.list_query(**{by: value})}" for by, value in _LED_TO)
    sessions = reverse("admin:analytics_agentsession_changelist")
    dearest = AgentSession.objects.filter(sub_agent="").order_by("-cost")[0]
    request = RequestRecord.objects.order_by("created_at")[0]
    yield f"{requests}?q={request.pk}"
    yield reverse("admin:analytics_agentsession_change", args=[dearest.pk])
    for query in (
        f"q={dearest.session_id}", f"q={request.pk}", "q=unknown", "agent=claude-code",
        "state=runaway", "state=moved",
    ):  # fmt: skip
        yield f"{sessions}?{query}"
    for key in ApiKey.objects.filter(name__in=DEVELOPERS):
        yield reverse("admin:analytics_apikey_change", args=[key.pk])
