"""Requests and results in JSON, so that they outlive the process that made them.

A dataclass becomes ``{"@": its name, field: value}``, without the fields that have their default.
A field of another version that is not known any more is left out.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from optimizer.domain.identifiers import Session
from optimizer.domain.levers import LeverTrial
from optimizer.domain.request import CachePolicy, GatewayRequest
from optimizer.domain.result import CompletionResult
from providers import chat, completion
from routing.models import ModelRef, RoutingDecision

_KIND = "@"
_CLASSES: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        chat.Text, chat.Image, chat.File, chat.Thinking, chat.ToolCall, chat.ToolResult,
        chat.Native, chat.Message, chat.Tool, chat.ToolChoice, chat.JsonOutput, chat.Reasoning,
        chat.OriginalRequest, chat.Chat, Session, CachePolicy, GatewayRequest, LeverTrial,
        RoutingDecision, CompletionResult, completion.Completion, completion.Choice,
        completion.Usage, completion.Opaque, completion.RelayedAnswer,
    )
}  # fmt: skip
# What the process finds again.
_LEFT_OUT = frozenset({"surveyed", "features", "client"})
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

# The first class that a value has counts: a reference to a model is a tuple, too.
_WRITERS: Mapping[str, tuple[type, Callable[[Any], Any]]] = {
    "ref": (ModelRef, list),
    "tuple": (tuple, lambda value: [_written(item) for item in value]),
    "set": (frozenset, lambda value: sorted(map(_written, value), key=str)),
    "decimal": (Decimal, str),
    "uuid": (uuid.UUID, str),
    "time": (datetime, datetime.isoformat),
    "bytes": (bytes, lambda value: base64.b64encode(value).decode()),
}


def written(value: Any) -> Any:
    """Return a value as JSON's values. Raises ``TypeError`` for one of an unknown class."""
    return _written(value)


def read(value: Any) -> Any:
    """Return the value that :func:`written` wrote as ``value``."""
    return _read(value)


def _written(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, Mapping):
        members = {str(name): _written(item) for name, item in value.items()}
        # An object of a client may have a field of this name.
        return {_KIND: "object", "value": members} if _KIND in members else members
    if type(value).__name__ in _CLASSES and is_dataclass(value):
        made: Any = type(value)
        return {
            _KIND: made.__name__,
            **{
                name: _written(held)
                for name, default in _fields_of(_CLASSES[type(value).__name__]).items()
                if (held := getattr(value, name)) is not default and held != default
            },
        }
    for kind, (cls, write) in _WRITERS.items():
        if isinstance(value, cls):
            return {_KIND: kind, "value": write(value)}
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
def _fields_of(cls: Any) -> Mapping[str, Any]:
    """Return the fields to write, each with its default."""
    return {
        known.name: MISSING if known.default is MISSING else known.default
        for known in fields(cls)
        if known.init and known.name not in _LEFT_OUT
    }
