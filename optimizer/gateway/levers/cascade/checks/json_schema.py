"""Checks a value against a JSON schema that a client wrote, within bounds.

The schema comes from a client, so checking must not fetch what it refers to, and must not take
long: the steps are counted, and regular expressions are not run, as some never end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from optimizer.gateway.levers.cascade.checks.verdicts import Result

MOST_STEPS = 50_000
"""Keywords that are applied to values: more take longer than about half a second."""
_UNCHECKED = frozenset(
    {"pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties"}
)
_COMPARED_PER_STEP = 100


class _TooMuchWork(Exception):
    """The schema has more to check than is allowed."""


@dataclass(slots=True)
class _Work:
    """The steps that are left, and the keywords that were not checked."""

    left: int = MOST_STEPS
    unchecked: set[str] = field(default_factory=set)


_WORK: ContextVar[_Work] = ContextVar("work of a schema check")


def schema_result(value: Any, schema: Mapping[str, Any]) -> tuple[Result, str]:
    """Return whether ``value`` matches ``schema``, and why not or why that is undecided.

    The reason names the keyword at fault and where it stands, and holds nothing of the value.
    """
    work = _Work()
    token = _WORK.set(work)
    try:
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
        validator = _bounded(kind)(schema, registry=Registry())
        error = next(validator.iter_errors(value), None)
    except SchemaError:
        return "undecided", "the schema itself is not valid"
    except Unresolvable:
        return "undecided", "the schema refers to another document"
    except (_TooMuchWork, RecursionError):
        return "undecided", "the schema takes too long to check"
    finally:
        _WORK.reset(token)
    if error is not None:
        return "failed", _words(error)
    if work.unchecked:
        return "undecided", f"{' and '.join(sorted(work.unchecked))} cannot be checked"
    return "passed", ""


def _words(error: ValidationError) -> str:
    """Return which keyword fails, and how deep: the names in a path may be the answer's own."""
    depth = len(error.absolute_path)
    where = "the answer itself" if not depth else f"a value {depth} level{'s' * (depth > 1)} deep"
    return f"{where} does not match “{error.validator}”"


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


@lru_cache(maxsize=16)
def _bounded(kind: Any) -> Any:
    """Return a validator class like ``kind`` that counts its steps."""
    keywords = {name: _counted(name, check) for name, check in kind.VALIDATORS.items()}
    return extend(kind, keywords)


def _counted(name: str, check: Keyword) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        work = _WORK.get()
        work.left -= 1
        if name == "uniqueItems" and isinstance(instance, list):
            work.left -= len(instance) ** 2 // _COMPARED_PER_STEP
        elif name == "enum":
            work.left -= len(value) // _COMPARED_PER_STEP
        if work.left < 0:
            raise _TooMuchWork
        by_pattern = name == "additionalProperties" and "patternProperties" in schema
        if name in _UNCHECKED or by_pattern:
            work.unchecked.add(name)
            return
        yield from check(validator, value, instance, schema) or ()

    return counted
