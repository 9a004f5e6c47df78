"""A gateway's request in JSON, so that it outlives the process that accepted it.

A dataclass becomes ``{"@": its name, field: value}``, without the fields that have their default.
A field of another version that is not known any more is left out.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from optimizer.domain.client import Client
from optimizer.domain.identifiers import Session
from optimizer.domain.request import CachePolicy, GatewayRequest
from providers import chat
from providers.chat import Chat
from routing.models import ModelRef, RoutingDecision

_KIND = "@"
_CLASSES: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        chat.Text, chat.Image, chat.File, chat.Thinking, chat.ToolCall, chat.ToolResult,
        chat.Native, chat.Message, chat.Tool, chat.ToolChoice, chat.JsonOutput, chat.Reasoning,
        chat.OriginalRequest, Chat, Session, CachePolicy, GatewayRequest, RoutingDecision,
    )
}  # fmt: skip
# What the process finds again, and what the row of the request has already.
_LEFT_OUT = frozenset({"surveyed", "features", "client", "request_id", "asked_at"})
_PLAIN = (str, int, float, bool, type(None))
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": frozenset,
    "decimal": Decimal,
    "uuid": uuid.UUID,
    "time": datetime.fromisoformat,
    "bytes": base64.b64decode,
    "ref": lambda value: ModelRef(*value),
    "object": dict,
}


def request_json(request: GatewayRequest) -> str:
    """Return the request in JSON, without its client, its id and its time."""
    return json.dumps(_written(request))


def request_of_json(
    text: str, client: Client, request_id: uuid.UUID, asked_at: datetime
) -> GatewayRequest:
    """Return the request that was written as ``text``.

    It has the client's limits of then; ``client`` is the same client as it is now.
    """
    values = {**json.loads(text), "request_id": None, "asked_at": None}
    values |= {"request_id": {_KIND: "uuid", "value": str(request_id)}}
    values |= {"asked_at": {_KIND: "time", "value": asked_at.isoformat()}}
    request: GatewayRequest = _read(values)
    return replace(request, client=client)


def decision_json(decision: RoutingDecision) -> Any:
    """Return a decision as JSON's values."""
    return _written(decision)


def decision_of_json(value: Any) -> RoutingDecision:
    """Return the decision that was written as ``value``."""
    decision: RoutingDecision = _read(value)
    return decision


def _written(value: Any) -> Any:
    if isinstance(value, ModelRef):
        return {_KIND: "ref", "value": list(value)}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Decimal):
        return {_KIND: "decimal", "value": str(value)}
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, (tuple, frozenset)):
        kind = "tuple" if isinstance(value, tuple) else "set"
        return {_KIND: kind, "value": [_written(item) for item in value]}
    if isinstance(value, Mapping):
        written = {str(name): _written(item) for name, item in value.items()}
        # An object of a client may have a field of this name.
        return {_KIND: "object", "value": written} if _KIND in written else written
    if isinstance(value, uuid.UUID):
        return {_KIND: "uuid", "value": str(value)}
    if isinstance(value, datetime):
        return {_KIND: "time", "value": value.isoformat()}
    if isinstance(value, bytes):
        return {_KIND: "bytes", "value": base64.b64encode(value).decode()}
    if is_dataclass(value) and type(value).__name__ in _CLASSES:
        return {
            _KIND: type(value).__name__,
            **{
                name: _written(held)
                for name, default in _fields_of(type(value)).items()
                if (held := getattr(value, name)) is not default and held != default
            },
        }
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind is None:
        return {name: _read(item) for name, item in value.items()}
    if kind == "object":
        return {name: _read(item) for name, item in value["value"].items()}
    if kind in _READERS:
        return _READERS[kind](_read(value["value"]))
    cls = _CLASSES[kind]
    known = {f.name for f in fields(cls) if f.init}
    return cls(**{name: _read(held) for name, held in value.items() if name in known})


@cache
def _fields_of(cls: type) -> Mapping[str, Any]:
    """Return the fields to write, each with its default."""
    return {
        known.name: MISSING if known.default is MISSING else known.default
        for known in fields(cls)
        if known.init and known.name not in _LEFT_OUT
    }
