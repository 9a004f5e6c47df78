"""How servers with OpenAI's API differ in what they accept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server accepts. The defaults are what most servers have.

    ``max_tokens_field`` is the name of the completion's limit: OpenAI's own models accept
    ``max_completion_tokens``, most others only ``max_tokens``. ``developer_role`` is whether
    messages may have the role "developer". ``cache_marks`` is whether parts may have a
    ``cache_control``. ``router`` is whether the server has OpenRouter's form of reasoning:
    the field ``reasoning`` in requests, and ``reasoning_details`` in messages. ``cache_keys``
    is whether requests may have a ``prompt_cache_key``, by which turns find their cache.
    """

    max_tokens_field: str = "max_tokens"
    developer_role: bool = False
    cache_marks: bool = False
    router: bool = False
    cache_keys: bool = False


SERVER = Dialect()
OPENAI_OWN = Dialect(max_tokens_field="max_completion_tokens", developer_role=True, cache_keys=True)
OPENROUTER = Dialect(cache_marks=True, router=True)
