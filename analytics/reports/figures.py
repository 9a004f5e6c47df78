"""The figures and dimensions of reports, the same for requests and for hourly totals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    F,
    JSONField,
    Q,
    Sum,
    TextChoices,
    Value,
    When,
)
from django.db.models.functions import MD5, Cast, Coalesce, Concat, Right, TruncDay

from analytics.models import RequestRecord
from analytics.money import MoneySum
from analytics.reports.durations import classes

Figures = dict[str, Any]
"""The figures of :data:`FIGURES` by name: each an ``int``, or USD as ``Decimal``."""

# Only requests whose own and baseline price are known are compared.
_PAIRED = Q(
    decision__actual_cost__isnull=False,
    decision__baseline_cost__isnull=False,
    decision__routing_saved__isnull=False,
)
_FAILED = Q(status=RequestRecord.Status.ERROR)
# Complete answers whose tokens the provider counted: only these show how long answers are.
_COMPLETE = Q(
    status=RequestRecord.Status.OK,
    cache_hit=False,
    finish_reason="stop",
    usage_estimated=False,
    decision__isnull=False,
)
# Inputs whose tokens the provider counted, and for which we have an estimate by characters.
_COUNTED_INPUT = (
    Q(
        cache_hit=False,
        usage_estimated=False,
        tokens_in__gt=0,
        tokens_estimated__gt=0,
        decision__isnull=False,
    )
    & ~_FAILED
)


def _integer(expression: Any) -> Cast:
    return Cast(expression, BigIntegerField())


def _product(first: str, second: str, condition: Q) -> Sum:
    return Sum(_integer(F(first)) * _integer(F(second)), filter=condition, default=0)


_COUNTS: dict[str, Any] = {
    "requests": Count("pk"),
    "decided": Count("decision"),
    "failed": Count("pk", filter=_FAILED),
    "cache_hits": Count("pk", filter=Q(cache_hit=True)),
    "priced": Count("decision__actual_cost"),
    "high": Count("pk", filter=Q(decision__confidence="high")),
    "paired": Count("pk", filter=_PAIRED),
    "tokens_in": Sum("tokens_in", default=0),
    "tokens_out": Sum("tokens_out", default=0),
    "latency_us": Sum(_integer(F("latency_ms") * 1000), default=0),
    # Streams whose time to the first token is known, and the sum of these times.
    "streams": Count("ttft_ms"),
    "first_token_us": Sum(_integer(F("ttft_ms") * 1000), default=0),
    "answers": Count("pk", filter=_COMPLETE),
    "answer_tokens": Sum("tokens_out", filter=_COMPLETE, default=0),
    "answer_tokens_squared": _product("tokens_out", "tokens_out", _COMPLETE),
    "inputs": Count("pk", filter=_COUNTED_INPUT),
    "input_tokens": Sum("tokens_in", filter=_COUNTED_INPUT, default=0),
    "input_estimate": Sum("tokens_estimated", filter=_COUNTED_INPUT, default=0),
    "input_tokens_squared": _product("tokens_in", "tokens_in", _COUNTED_INPUT),
    "input_estimate_squared": _product("tokens_estimated", "tokens_estimated", _COUNTED_INPUT),
    "input_product": _product("tokens_in", "tokens_estimated", _COUNTED_INPUT),
}
_MONEY: dict[str, Any] = {
    "cost": MoneySum("cost"),
    "failed_cost": MoneySum("failed_cost"),
    # The cost of requests that failed.
    "lost_cost": MoneySum("cost", filter=_FAILED),
    "paired_cost": MoneySum("decision__actual_cost", filter=_PAIRED),
    "baseline_cost": MoneySum("decision__baseline_cost", filter=_PAIRED),
    "baseline_output_cost": MoneySum("decision__baseline_output_cost", filter=_PAIRED),
    "routing_saved": MoneySum("decision__routing_saved", filter=_PAIRED),
    "cache_saved": MoneySum("decision__cache_saved", filter=_PAIRED),
    "prompt_cache_saved": MoneySum("decision__prompt_cache_saved", filter=_PAIRED),
    # The part of it where this service asked for the prompt cache.
    "marks_saved": MoneySum(
        "decision__prompt_cache_saved", filter=_PAIRED & Q(decision__cache_marked=True)
    ),
    "explored_saved": MoneySum(
        "decision__routing_saved", filter=_PAIRED & Q(decision__explored=True)
    ),
}
FIGURES: dict[str, Any] = {**_COUNTS, **_MONEY}


def _joined(*names: str) -> Concat:
    parts: list[Any] = []
    for name in names:
        parts += [F(name), Value("/")]
    return Concat(*parts[:-1], output_field=CharField())


OWNER_END = "\x1e"
"""What ends the owner in the value of a mix: the record separator, which no name contains."""


def _mix_of(owner: str) -> Concat:
    """Return an owner of requests with the model that answered."""
    return Concat(
        F(owner), Value(OWNER_END), _joined("provider", "model"), output_field=CharField()
    )


class ChargeKind(TextChoices):
    """How the cost of a request is known that its provider charged; other requests have none."""

    KNOWN = "known"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"
    UNKNOWN_ESTIMATED = "unknown_estimated"


def _charge() -> Concat:
    """Return the model that answered, and the kind of what its provider charged."""
    kind = Case(
        When(_FAILED | Q(cache_hit=True) | Q(replayed=True), then=Value("")),
        When(cost=None, usage_estimated=True, then=Value(ChargeKind.UNKNOWN_ESTIMATED)),
        When(cost=None, then=Value(ChargeKind.UNKNOWN)),
        When(usage_estimated=True, then=Value(ChargeKind.ESTIMATED)),
        default=Value(ChargeKind.KNOWN),
        output_field=CharField(),
    )
    model = _joined("provider", "model")
    return Concat(model, Value(OWNER_END), kind, output_field=CharField())


def _bucket(*columns: str) -> Any:
    """Return which of 256 random groups a request is in by the first of ``columns`` it has.

    Requests with the same value are in the same group. Without any value, the group is that of
    the request's own id, which is random. Each kind of group has a letter.
    """
    group: Any = Concat(Value("r"), Right(Cast("pk", CharField()), 2), output_field=CharField())
    for column in reversed(columns):
        known = Concat(Value(column[0]), Right(MD5(column), 2), output_field=CharField())
        group = Case(When(~Q(**{column: ""}), then=known), default=group)
    return group


# Summed by the hour. "sessions", "users" and "keys" are the groups of requests that belong
# together (:mod:`analytics.reports.intervals`); "answer" is the kind of prompt, the model that
# answered and the baseline; "latency" is the duration of provider calls, without the cache and
# our own waiting. A mix is an owner of requests with the model that answered.
# "charge" is what providers charged, by model.
KEPT: dict[str, Any] = {
    "strategy": F("strategy"),
    "confidence": F("confidence"),
    "model": _joined("provider", "model"),
    "pattern": F("pattern"),
    "endpoint": F("endpoint"),
    "basis": F("price_basis"),
    "user": F("user_id"),
    "tag": F("tags"),
    "agent": F("agent"),
    "turn": F("turn"),
    "tool": Coalesce("tools_called", Value([], JSONField()), output_field=JSONField()),
    "key": F("api_key"),
    "tenant": F("tenant"),
    "project": F("project"),
    "tenant_mix": _mix_of("tenant"),
    "project_mix": _mix_of("project"),
    "key_mix": _mix_of("api_key"),
    "agent_mix": _mix_of("agent"),
    "charge": _charge(),
    "group": Right(Cast("pk", CharField()), 2),
    "sessions": _bucket("session_id"),
    "users": _bucket("user_id", "session_id"),
    "keys": _bucket("api_key", "user_id", "session_id"),
    "latency": classes("provider_ms"),
    "first_token": classes("ttft_ms"),
    "answer": Concat(
        _joined("pattern", "tier", "provider", "model"),
        Value(">"),
        _joined("decision__baseline_provider", "decision__baseline_model"),
        output_field=CharField(),
    ),
}
MIXES = {
    "tenant": "tenant_mix", "project": "project_mix", "key": "key_mix", "agent": "agent_mix",
}  # fmt: skip
"""The sums by owner and model, by the dimension of the owner."""
DIRECT: dict[str, Any] = {"session": F("session_id")}
"""Dimensions with so many values that no roll-up holds them: they are read from the requests."""
GROUPS = {**KEPT, **DIRECT}
LISTS = frozenset({"tag", "tool"})
"""Dimensions of which a request may have several values."""
DAY = TruncDay("created_at", tzinfo=UTC)


def no_figures() -> Figures:
    """Return all figures as zero."""
    return {**dict.fromkeys(_COUNTS, 0), **dict.fromkeys(_MONEY, Decimal(0))}


def saved_of(figures: Figures) -> Decimal:
    """Return the USD saved, less the cost of failed requests."""
    saved: Decimal = figures["routing_saved"] + figures["cache_saved"] - figures["lost_cost"]
    return saved


def add_figures(total: Figures, more: Mapping[str, Any]) -> None:
    """Add ``more`` to ``total``."""
    for name, figure in more.items():
        total[name] += figure


def values_of(dimension: str, group: Any) -> list[str]:
    """Return the values under which a group of requests counts: each tag or tool, else one."""
    if dimension in LISTS:
        return list(dict.fromkeys(group)) or [""]
    return ["" if group == "/" else group]
