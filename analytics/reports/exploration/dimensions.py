"""What spending is filtered and grouped by, and which sums hold it.

Sums are kept for one dimension at a time (:mod:`analytics.reports.figures`), and for the kind of
prompt together with the model. Any other two dimensions are read from the requests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, F, Q, Value
from django.db.models.functions import Concat

from analytics.access.keys import team_of, tenant_of_team
from analytics.reports.breakdown import NONE
from analytics.reports.tags import tagged


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something that requests are filtered and grouped by.

    ``label`` is its name for people, ``column`` the column of requests, and ``kept`` the dimension
    whose sums hold it; "" if none do.
    """

    name: str
    label: str
    column: str
    kept: str = ""


DIMENSIONS = {
    dimension.name: dimension
    for dimension in (
        Dimension("team", "Team", "tenant", "tenant"),
        Dimension("project", "Project", "project", "project"),
        Dimension("key", "API key", "api_key", "key"),
        Dimension("user", "User", "user_id", "user"),
        Dimension("agent", "Agent", "agent", "agent"),
        Dimension("session", "Session", "session_id"),
        Dimension("tag", "Tag", "tags", "tag"),
        Dimension("model", "Model", "model", "model"),
        Dimension("provider", "Provider", "provider", "model"),
        Dimension("kind", "Kind of prompt", "pattern", "pattern"),
        Dimension("endpoint", "Endpoint", "endpoint", "endpoint"),
        Dimension("turn", "Turn", "turn", "turn"),
    )
}
"""All dimensions but time, in the order in which they are offered."""

ALL = "strategy"
"""The kept dimension that is read for sums over all requests: it has few values."""

Filters = Mapping[str, str]
"""The value that requests have, by dimension; :data:`NONE` stands for no value."""


def kept_for(dimensions: Collection[str]) -> str | None:
    """Return the kept dimension whose sums hold all ``dimensions``; ``None`` if none does."""
    names = frozenset(dimensions)
    if not names:
        return ALL
    if len(names) == 1:
        return DIMENSIONS[next(iter(names))].kept or None
    if names <= {"model", "provider"}:
        return "model"
    return "answer" if names <= {"model", "provider", "kind"} else None


def kept_values(kept: str, value: str) -> dict[str, str]:
    """Return the values of dimensions that a ``value`` of the kept dimension stands for."""
    if kept == "model":
        return _model_values(value)
    if kept == "answer":
        kind, _, rest = value.partition("/")
        model = rest.partition("/")[2].partition(">")[0]
        return {"kind": kind or NONE, **_model_values(model)}
    return {
        name: shown(name, value) for name, dimension in DIMENSIONS.items() if dimension.kept == kept
    }


def _model_values(value: str) -> dict[str, str]:
    provider = value.partition("/")[0]
    return {"model": value.strip("/") or NONE, "provider": provider or NONE}


def shown(name: str, value: str) -> str:
    """Return the value of a dimension for people, from that of its column or kept sums."""
    text = team_of(value) if name == "team" else value
    return text.strip("/") or NONE if name == "model" else text or NONE


def kept_value(name: str, value: str) -> str | None:
    """Return the value of the kept sums of ``name``; ``None`` where several make up the value."""
    if name in ("model", "provider"):
        return None
    if name == "team":
        # All tenants that are no team are in no team.
        return None if value == NONE else tenant_of_team(value)
    return "" if value == NONE else value


def expression(name: str, prefix: str = "") -> Any:
    """Return the SQL expression that requests are grouped by; ``prefix`` leads to the request."""
    column = F(f"{prefix}{DIMENSIONS[name].column}")
    if name != "model":
        return column
    return Concat(F(f"{prefix}provider"), Value("/"), column, output_field=CharField())


def filtered(rows: Any, filters: Filters, prefix: str = "") -> Any:
    """Return those of ``rows`` whose requests have the values; ``prefix`` leads to the request."""
    for name, value in filters.items():
        if name == "tag" and value != NONE:
            rows = tagged(rows, value, prefix)
        else:
            rows = rows.filter(_condition(name, value, prefix))
    return rows


def _condition(name: str, value: str, prefix: str) -> Q:
    empty = value == NONE
    column = f"{prefix}{DIMENSIONS[name].column}"
    if name == "tag":
        return Q(**{column: []})
    if name == "model":
        provider, _, model = ("" if empty else value).partition("/")
        return Q(**{f"{prefix}provider": provider, column: model})
    if name == "team":
        team = tenant_of_team("" if empty else value)
        return ~Q(**{f"{column}__startswith": team}) if empty else Q(**{column: team})
    return Q(**{column: "" if empty else value})


def list_filters(filters: Filters) -> dict[str, str]:
    """Return the parameters of the list of requests that have the values."""
    query: dict[str, str] = {}
    for name, value in filters.items():
        empty = value == NONE
        if name == "model":
            provider, _, model = value.partition("/")
            query |= {"provider__exact": "", "model__exact": ""} if empty else {
                "provider": provider, "model": model,
            }  # fmt: skip
        elif name == "tag":
            query |= {} if empty else {"tag": value}
        elif name == "team":
            query |= {} if empty else {"tenant__exact": tenant_of_team(value)}
        else:
            query[f"{DIMENSIONS[name].column}__exact"] = "" if empty else value
    return query
