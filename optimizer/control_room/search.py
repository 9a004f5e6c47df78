"""Search over what the admin shows, for its command palette: each user finds what they may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import Model, Q
from django.urls import reverse

from analytics.access.key_names import user_names
from analytics.models import (
    AlertRule,
    ApiKey,
    Budget,
    Developer,
    Experiment,
    KeyTemplate,
    NotificationChannel,
    Project,
    RequestRecord,
    RoutingRule,
    Team,
)
from analytics.request_ids import request_id_in

MAY_VIEW_REQUESTS = "analytics.view_requestrecord"
_MAY_VIEW_PEOPLE = (MAY_VIEW_REQUESTS, "analytics.view_apikey", "analytics.view_developer")
_MOST = 5


@dataclass(frozen=True, slots=True)
class Hit:
    """A thing that matches: its name, a note that tells it from others, and its page."""

    text: str
    url: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class HitGroup:
    """The hits of one kind, under its name."""

    name: str
    items: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that is searched by parts of its ``columns``; ``note`` describes a row."""

    name: str
    model: type[Model]
    columns: tuple[str, ...]
    note: Callable[[Any], str]


_TABLES = (
    _Table("API keys", ApiKey, ("name", "prefix"), lambda key: key.prefix),
    _Table("Budgets", Budget, ("name", "subject"), lambda budget: budget.subject),
    _Table("Rules", RoutingRule, ("name",), lambda rule: "" if rule.enabled else "off"),
    _Table("Experiments", Experiment, ("name",), lambda trial: trial.get_status_display()),
    _Table("Teams", Team, ("name",), lambda team: ""),
    _Table("Projects", Project, ("name",), lambda project: ""),
    _Table(
        "Developers",
        Developer,
        ("name", "account__email", "account__first_name", "account__last_name"),
        lambda developer: "" if developer.active else "access has ended",
    ),
    _Table("Key templates", KeyTemplate, ("name",), lambda each: "" if each.usable else "off"),
    _Table("Alerts", AlertRule, ("name",), lambda rule: "" if rule.enabled else "off"),
    _Table("Channels", NotificationChannel, ("name",), lambda each: each.get_kind_display()),
    _Table(
        "Users",
        get_user_model(),
        ("username", "email", "first_name", "last_name"),
        lambda user: user.get_full_name() or user.email,
    ),
)


def search(query: str, models: list[str], may: Callable[[str], bool]) -> list[HitGroup]:
    """Return what matches ``query``: requests, ``models`` (provider/model), and rows by name.

    ``may`` tells whether the user has a permission. Groups without hits are left out.
    """
    term = query.strip()
    if not term:
        return []
    groups = [
        HitGroup("Requests", tuple(_requests(term)) if may(MAY_VIEW_REQUESTS) else ()),
        HitGroup("Models", tuple(_models(term, models)) if may(MAY_VIEW_REQUESTS) else ()),
        HitGroup("People", tuple(_people(term)) if all(map(may, _MAY_VIEW_PEOPLE)) else ()),
        *(HitGroup(table.name, tuple(_rows(table, term, may))) for table in _TABLES),
        HitGroup("Search", tuple(_searches(term)) if may(MAY_VIEW_REQUESTS) else ()),
    ]
    return [group for group in groups if group.items]


def _requests(term: str) -> Iterator[Hit]:
    request_id = request_id_in(term)
    if request_id is None:
        return
    rows = RequestRecord.objects.filter(pk=request_id).only("provider", "model", "created_at")
    for row in rows:
        yield Hit(
            f"Request {row.pk}",
            reverse("admin:analytics_requestrecord_change", args=[row.pk]),
            f"{row.created_at:%Y-%m-%d %H:%M} UTC" + (f", {row.ref}" if row.provider else ""),
        )


def _searches(term: str) -> Iterator[Hit]:
    """Yield the lists whose own search knows more: other ids, and words of prompts."""
    for name, page in (("requests", "requestrecord"), ("sessions", "agentsession")):
        url = reverse(f"admin:analytics_{page}_changelist")
        yield Hit(f"Search {name} for “{term}”", f"{url}?{urlencode({'q': term})}")


def _models(term: str, models: list[str]) -> Iterator[Hit]:
    words = term.lower().split()
    fitting = [ref for ref in models if all(word in ref.lower() for word in words)]
    for ref in fitting[:_MOST]:
        provider, _, model = ref.partition("/")
        query = urlencode({"days": 30, "provider": provider, "model": model, "by": "kind"})
        yield Hit(ref, f"{reverse('admin:explore')}?{query}", "spend of 30 days")


def _people(term: str) -> Iterator[Hit]:
    """Yield the users of requests, who may have no account here, with what they spend."""
    for name in user_names(term)[:_MOST]:
        query = urlencode({"days": 30, "user": name, "by": "model"})
        yield Hit(name, f"{reverse('admin:explore')}?{query}", "spend of 30 days")


def _rows(table: _Table, term: str, may: Callable[[str], bool]) -> Iterator[Hit]:
    options = table.model._meta
    if not may(f"{options.app_label}.view_{options.model_name}"):
        return
    page = f"admin:{options.app_label}_{options.model_name}_change"
    wanted = reduce(or_, (Q(**{f"{column}__icontains": term}) for column in table.columns))
    for row in table.model._default_manager.filter(wanted).order_by("pk")[:_MOST]:
        yield Hit(str(row), reverse(page, args=[row.pk]), table.note(row))
