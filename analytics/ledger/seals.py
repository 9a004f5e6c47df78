"""Seals: the hash of each ledger row, written in the transaction that writes the row.

The canonical form of a row is JSON (RFC 8259) of the columns whose value is not the column's
default, with sorted keys, without spaces, in UTF-8. Money is text with ten places, times are
ISO 8601 in UTC with microseconds, ids are text. It has two parts: the figures, which a proof
shows, and the rest, which it does not. The rest is hashed with the seal's nonce first:

    rest = SHA-256(nonce, id, canonical JSON of the other columns; the prompt by its SHA-256)
    leaf = SHA-256(0x00, canonical JSON of the figures, a line feed, rest in hexadecimal)

A new column is covered without a new format, because a row that has its default stays as it was.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from hashlib import sha256
from itertools import compress
from operator import is_not
from typing import Any, NamedTuple

import orjson
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction

from analytics.database.bulk_write import execute_many, json_value, values_reader
from analytics.models import RequestRecord, RoutingMetric
from analytics.models.seals import LedgerSeal

Pair = tuple[RequestRecord, RoutingMetric | None]

REMOVED = bytes(32)
"""The leaf of a row that was removed."""
LEAF_BYTES = 48
_NOTHING = "0.0000000000"

_FIGURES = frozenset({
    "id", "created_at", "status", "endpoint", "requested_model", "tags", "user_id", "session_id",
    "pattern", "tier", "strategy", "confidence", "provider", "model", "tokens_in", "tokens_out",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_estimated", "cost",
    "failed_cost", "cache_hit", "original_cost", "savings", "api_key", "tenant", "project",
    "experiment", "arm", "replayed", "price_basis", "levers",
    "decision.strategy_used", "decision.actual_cost", "decision.baseline_provider",
    "decision.baseline_model", "decision.baseline_cost", "decision.baseline_output_cost",
    "decision.routing_saved", "decision.cache_saved", "decision.prompt_cache_saved",
    "decision.explored", "decided",
})  # fmt: skip
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


class RowHash(NamedTuple):
    """A row's figures as canonical JSON, the hash of all its other columns, and its leaf."""

    figures: bytes
    rest: str
    leaf: bytes


class _Columns:
    """Some columns of a table by their canonical names, and how their values become text."""

    def __init__(self, table: type[models.Model], prefix: str = "", *, shown: bool) -> None:
        self._fields = [
            (prefix + field.name, field)
            for field in table._meta.concrete_fields
            if (prefix + field.name in _FIGURES) is shown
        ]
        self._names = [name for name, _ in self._fields]
        self._defaults = [_default(field) for _, field in self._fields]
        self._values = values_reader([field.attname for _, field in self._fields])
        self._places = list(range(len(self._fields)))
        self._texts = [_text_of(field) for _, field in self._fields]

    def constants(self) -> dict[str, Any]:
        """Return the defaults that are the same for every row, by name."""
        pairs = zip(self._names, self._defaults, strict=True)
        return {name: default for name, default in pairs if type(default) is not object}

    def changed(self, row: models.Model) -> dict[str, Any]:
        """Return the columns of ``row`` that differ from their defaults, as the JSON has them."""
        changed = {}
        names, defaults, texts = self._names, self._defaults, self._texts
        values = self._values(row)
        # Half of the columns have the very object that is their default.
        for place in compress(self._places, map(is_not, values, defaults)):
            value, default, text = values[place], defaults[place], texts[place]
            # An amount is not compared with ``None``, which took as long as all other comparisons.
            if default is None or value != default:
                changed[names[place]] = value if text is None or value is None else text(value)
        return changed


def _text_of(field: models.Field) -> Callable[[Any], Any] | None:
    """Return how the values of a column become what the JSON has, ``None`` if they are that."""
    if isinstance(field, models.DecimalField):
        return _amount
    if isinstance(field, models.FloatField):
        return float
    return _in_utc if isinstance(field, models.DateTimeField) else None


def _amount(value: Decimal) -> str:
    return f"{value:.10f}" if value else _NOTHING


@lru_cache(maxsize=64)  # a request and its decision have the same time
def _in_utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _default(field: models.Field) -> Any:
    if field.has_default() and callable(field.default) and field.default not in {list, dict}:
        return object()  # equal to no value, as the default is another one each time
    default = field.get_default()
    return str(default) if isinstance(default, str) else default


def canonical_json(value: Any) -> bytes:
    """Return JSON that is the same for a value and for what any database gives back of it."""
    try:
        text = orjson.dumps(value, default=json_value, option=_OPTIONS)
    except TypeError:  # of numbers above 64 bits and halves of characters
        plain = json.dumps(value, cls=DjangoJSONEncoder, separators=(",", ":"))
        plain = json.dumps(json.loads(plain), separators=(",", ":"), sort_keys=True)
        return plain.encode()
    if b"-0.0" in text:  # PostgreSQL has no negative zero in JSON
        text = orjson.dumps(json.loads(text, parse_float=_not_negative_zero), option=_OPTIONS)
    return text


def _not_negative_zero(text: str) -> float:
    return float(text) or 0.0


_SHOWN = _Columns(RequestRecord, shown=True)
_HIDDEN = _Columns(RequestRecord, shown=False)
_SHOWN_DECISION = _Columns(RoutingMetric, "decision.", shown=True)
_HIDDEN_DECISION = _Columns(RoutingMetric, "decision.", shown=False)


def figure_defaults() -> dict[str, Any]:
    """Return the values of the figures that the canonical form of a row leaves out."""
    return {**_SHOWN.constants(), **_SHOWN_DECISION.constants(), "decided": False}


def row_hash(pair: Pair, nonce: bytes) -> RowHash:
    """Return the canonical figures of a row and its decision, and the hash of the rest."""
    request, decision = pair
    shown, rest = _SHOWN.changed(request), _HIDDEN.changed(request)
    if decision is not None:
        shown |= _SHOWN_DECISION.changed(decision)
        rest |= _HIDDEN_DECISION.changed(decision)
        shown["decided"] = True
    if "prompt" in rest:
        rest["prompt"] = sha256(rest["prompt"].encode(errors="surrogatepass")).hexdigest()
    figures = canonical_json(shown)
    hidden = sha256(nonce + request.pk.bytes + canonical_json(rest)).hexdigest()
    return RowHash(figures, hidden, sha256(b"\0" + figures + b"\n" + hidden.encode()).digest())


class _Chains(threading.local):
    """The chains of this thread, one a day, and whether their last seals are surely committed.

    A chain whose last seal may have been rolled back ends, and another one begins. So no two
    transactions wait for each other, and no chain lacks a seal.
    """

    def __init__(self) -> None:
        self.committed = True
        self.process = os.getpid()
        self.last: dict[date, tuple[str, int, str]] = {}


_MOST_DAYS = 8
_chains = _Chains()
_INSERT = (
    "INSERT INTO ledger_seals (chain, number, kind, day, made_at, rows, nonce, leaves, previous,"
    " hash) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def rows_seal(pairs: Iterable[Pair], kind: str = LedgerSeal.Kind.WRITTEN) -> None:
    """Seal rows in the transaction that writes them."""
    nonce = os.urandom(16)
    days: dict[date, list[bytes]] = defaultdict(list)
    for pair in pairs:
        request = pair[0]
        parts = days[request.created_at.astimezone(UTC).date()]
        parts += (request.pk.bytes, row_hash(pair, nonce).leaf)
    _write(days, kind, nonce)


def removals_seal(requests: Iterable[RequestRecord]) -> None:
    """Seal that rows are removed, in the transaction that removes them."""
    days: dict[date, list[bytes]] = defaultdict(list)
    for request in requests:
        days[request.created_at.astimezone(UTC).date()] += (request.pk.bytes, REMOVED)
    _write(days, LedgerSeal.Kind.REMOVED, bytes(16))


def _write(days: Mapping[date, Sequence[bytes]], kind: str, nonce: bytes) -> None:
    if not days:
        return
    chains = _chains
    if not chains.committed or chains.process != os.getpid() or len(chains.last) > _MOST_DAYS:
        chains.process, chains.last = os.getpid(), {}
    as_date, now = connection.ops.adapt_datefield_value, datetime.now(UTC)
    made_at = connection.ops.adapt_datetimefield_value(now)
    lines = []
    for day, parts in days.items():
        name, number, previous = chains.last.get(day) or (uuid.uuid4().hex, -1, "")
        leaves = b"".join(parts)
        digest = _link(previous, name, number + 1, kind, day, nonce, leaves)
        chains.last[day] = name, number + 1, digest
        lines.append([name, number + 1, str(kind), as_date(day), made_at, len(parts) // 2, nonce,
                      leaves, previous, digest])  # fmt: skip
    execute_many(_INSERT, lines)
    chains.committed = False
    transaction.on_commit(partial(setattr, chains, "committed", True))


def _link(
    previous: str, chain: str, number: int, kind: str, day: date, nonce: bytes, leaves: bytes
) -> str:
    head = f"seal-1\n{previous}\n{chain}\n{number}\n{kind!s}\n{day}\n"
    return sha256(head.encode() + nonce + leaves).hexdigest()


def seal_hash(seal: LedgerSeal) -> str:
    """Return the hash that links a seal to the one before it."""
    return _link(seal.previous, seal.chain, seal.number, seal.kind, seal.day, bytes(seal.nonce),
                 bytes(seal.leaves))  # fmt: skip


def leaves_of(seals: Iterable[LedgerSeal]) -> dict[uuid.UUID, tuple[bytes, bytes]]:
    """Return the latest (leaf, nonce) of each row; ``seals`` are in the order of their ids."""
    latest: dict[uuid.UUID, tuple[bytes, bytes]] = {}
    for seal in seals:
        leaves, nonce = bytes(seal.leaves), bytes(seal.nonce)
        for at in range(0, len(leaves), LEAF_BYTES):
            row = uuid.UUID(bytes=leaves[at : at + 16])
            latest[row] = (leaves[at + 16 : at + LEAF_BYTES], nonce)
    return latest


def merkle_root(leaves: Mapping[uuid.UUID, bytes]) -> str:
    """Return the root of a day's leaves in the order of their ids, without removed rows.

    It is the Merkle tree hash of RFC 9162, section 2.1.1, over leaves that are hashed already.
    """
    level: Sequence[bytes] = [leaf for _, leaf in sorted(leaves.items()) if leaf != REMOVED]
    if not level:
        return sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        level = [*pairs, level[-1]] if len(level) % 2 else pairs
    return level[0].hex()
