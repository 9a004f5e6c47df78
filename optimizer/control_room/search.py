"""Search over what the admin shows, for its command palette: each user finds what they may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, TextField, Value
from django.db.models.functions import Cast
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
        *_tables(term, may),
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


def _tables(term: str, may: Callable[[str], bool]) -> Iterator[HitGroup]:
    """Yield the rows whose names hold ``term``, by table.

    One query finds them in all tables; another reads those of each table that has some.
    """
    seen = [table for table in _TABLES if may(_permission(table))]
    selects = [_matches(number, table, term) for number, table in enumerate(seen)]
    if not selects:
        return
    first, *others = selects
    keys: dict[int, list[str]] = defaultdict(list)
    for number, key in first.union(*others, all=True) if others else first:
        keys[number].append(key)
    for number, table in enumerate(seen):
        if number not in keys:
            continue
        rows = table.model._default_manager.filter(pk__in=keys[number]).order_by("pk")
        page = f"admin:{table.model._meta.app_label}_{table.model._meta.model_name}_change"
        hits = [Hit(str(row), reverse(page, args=[row.pk]), table.note(row)) for row in rows]
        yield HitGroup(table.name, tuple(hits))


def _permission(table: _Table) -> str:
    options = table.model._meta
    return f"{options.app_label}.view_{options.model_name}"


def _matches(number: int, table: _Table, term: str) -> Any:
    """Return the query for the number of a table and the keys, as text, of its rows."""
    wanted = reduce(or_, (Q(**{f"{column}__icontains": term}) for column in table.columns))
    rows = table.model._default_manager.filter(wanted).order_by("pk").values("pk")[:_MOST]
    # The parts of a UNION have no order and no limit of their own on SQLite.
    kept = table.model._default_manager.filter(pk__in=rows).order_by()
    return kept.values_list(Value(number), Cast("pk", TextField()))
