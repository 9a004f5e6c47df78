"""Read a request of the older API of completions.

Format: https://platform.openai.com/docs/api-reference/completions/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_request import read_sampling, read_usage_option
from optimizer.gateway.chat_requests import MAX_TOKENS, ChatQuery
from providers.chat import Chat, Message, Native, OriginalRequest, Part, Text
from providers.openai.completions import WIRE

_MOST_PROMPTS = 128


def read_completion_queries(body: Any, cache_control: str) -> tuple[list[ChatQuery], bool]:
    """Return a query for each prompt, and whether the stream ends with its usage.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    with_usage = read_usage_option(fields, streamed)
    prompts = list(_prompts(fields))
    sampling = {
        "max_tokens": fields.integer("max_tokens", 1, MAX_TOKENS),
        "user": fields.text("user"),
        **read_sampling(fields),
    }
    extras = tuple(name for name in fields.unread() if _has_effect(body[name]))
    queries = []
    for prompt in prompts:
        part: Part = Text(prompt) if isinstance(prompt, str) else Native("a prompt of tokens")
        source = OriginalRequest(WIRE, {**body, "prompt": prompt})
        chat = Chat((Message("user", (part,)),), extras=extras, source=source, **sampling)
        queries.append(ChatQuery(model, chat, options, streamed))
    return queries, with_usage


def _has_effect(value: Any) -> bool:
    return value is True or value not in (False, "", 0, 1, [], {})


def _prompts(fields: BodyReader) -> Iterator[str | list[int]]:
    """Yield the prompts: texts, or lists of the numbers of tokens."""
    value = fields.required("prompt")
    prompts = [value] if isinstance(value, str) or _is_tokens(value) else value
    if not isinstance(prompts, list) or not 0 < len(prompts) <= _MOST_PROMPTS:
        raise fields.error("prompt", f"must be a string or an array of 1 to {_MOST_PROMPTS}.")
    for prompt in prompts:
        if not isinstance(prompt, str) and not _is_tokens(prompt):
            raise fields.error("prompt", "must hold strings or arrays of tokens.", "invalid_type")
        yield prompt


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)
