"""How servers with OpenAI's API differ in what they accept.

The catalogue has the differences of a provider as ``dialect``, in words of :data:`FIELDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


class DialectError(Exception):
    """A dialect cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server accepts. The defaults are what most servers have.

    ``max_tokens_field`` is the name of the completion's limit: OpenAI's own models accept
    ``max_completion_tokens``, most others only ``max_tokens``. ``seed_field`` is the name of
    the seed. ``developer_role`` is whether messages may have the role "developer".
    ``cache_marks`` is whether parts may have a ``cache_control``. ``router`` is whether the
    server has OpenRouter's form of reasoning: the field ``reasoning`` in requests, and
    ``reasoning_details`` in messages. ``reasoning_details`` is whether it has them without being
    a router. ``cache_keys`` is whether requests may have a ``prompt_cache_key``, by which turns
    find their cache. ``stream_options`` is whether a stream may be asked for its usage; a server
    without it reports the usage unasked. ``call_id_length`` is the exact number of letters and
    digits in the id of a call, 0 for any id. ``least_temperature`` is the lowest one.
    ``efforts`` are the levels of reasoning that its models take, ``None`` if their names say it.
    ``no_reasoning`` are the fields that stop reasoning, ``always`` those that every request gets
    unless it has them. ``rerank_path`` is where the server ranks documents in Cohere's form, as a
    path of its host; "" is OpenAI's place for it, ``/rerank`` below the base URL.
    """

    max_tokens_field: str = "max_tokens"
    developer_role: bool = False
    cache_marks: bool = False
    router: bool = False
    cache_keys: bool = False
    seed_field: str = "seed"
    stream_options: bool = True
    call_id_length: int = 0
    least_temperature: float = 0
    reasoning_details: bool = False
    efforts: tuple[str, ...] | None = None
    no_reasoning: Mapping[str, Any] = field(default_factory=dict, hash=False)
    always: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rerank_path: str = ""

    @property
    def has_details(self) -> bool:
        """Whether messages may have ``reasoning_details``."""
        return self.router or self.reasoning_details


SERVER = Dialect()
OPENAI_OWN = Dialect(max_tokens_field="max_completion_tokens", developer_role=True, cache_keys=True)
OPENROUTER = Dialect(cache_marks=True, router=True)

# What the catalogue may say of a server, with the types of the values.
FIELDS: Mapping[str, tuple[type, ...]] = {
    "max_tokens_field": (str,),
    "seed_field": (str,),
    "stream_options": (bool,),
    "call_id_length": (int,),
    "least_temperature": (int, float),
    "reasoning_details": (bool,),
    "efforts": (list,),
    "no_reasoning": (dict,),
    "always": (dict,),
    "rerank_path": (str,),
}


def read_dialect(raw: Any) -> Dialect:
    """Return the dialect that the catalogue describes. Raises :class:`DialectError`."""
    if not isinstance(raw, dict):
        raise DialectError("dialect must be a table")
    for name, value in raw.items():
        if name not in FIELDS:
            raise DialectError(f"dialect may have {', '.join(FIELDS)}, not {name}")
        kinds = FIELDS[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise DialectError(f"dialect.{name} must be a {kinds[-1].__name__}")
    values = dict(raw)
    if "efforts" in values:
        values["efforts"] = tuple(map(str, values["efforts"]))
    return replace(SERVER, **values)
