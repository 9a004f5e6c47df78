"""Requests of odd shapes, on every API that clients speak, in any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
Shape = Callable[[int], Body]
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
INPUT_TOKENS, EMBEDDINGS = "/v1/responses/input_tokens", "/v1/embeddings"
MESSAGES, COUNT_TOKENS = "/v1/messages", "/v1/messages/count_tokens"
GEMINI = "/v1beta/models/{model}:generateContent"
GEMINI_COUNT = "/v1beta/models/{model}:countTokens"
GEMINI_EMBED = "/v1beta/models/{model}:batchEmbedContents"
OWN = "/complete"
# Each takes everything, so that nothing ends a request early.
_PROVIDERS = {
    "oddopenai": ("openai-own", "{upstream}/v1"),
    "oddgroq": ("openai", "{upstream}/v1"),
    "oddclaude": ("anthropic", "{upstream}"),
    "oddgemini": ("gemini", "{upstream}"),
}
CATALOGUE = "".join(
    f"""
[providers.{name}]
wire = "{wire}"
base_url = "{url}"
key_env = ["GROQ_API_KEY"]
[[models]]
provider = "{name}"
id = "{name}-1"
tier = "simple"
context_window = 1000000000
capabilities = ["tools", "json", "vision"]
price = {{ input = "1", output = "1" }}
[[models]]
kind = "embedding"
provider = "{name}"
id = "{name}-embedding"
context_window = 1000000000
price = {{ input = "1", output = "0" }}
"""
    for name, (wire, url) in _PROVIDERS.items()
)
_OBJECT = {"type": "object", "properties": {}}


def _words(size: int) -> str:
    return "the quick brown fox jumps over " * (size // 31)


def _deep(size: int) -> Any:
    """Arrays within arrays, no deeper than is allowed, so often that it is large."""
    value: Any = []
    for _ in range(150):
        value = [value]
    return [value] * max(1, size // 304)


def _schema(size: int) -> Body:
    count = size // 60
    return {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string", "maxLength": n} for n in range(count)},
    }


def _chat(content: Any, **more: Any) -> Body:
    return {"model": "auto", "messages": [{"role": "user", "content": content}], **more}


def _function(n: int, schema: Body | None = None) -> Body:
    return {"name": f"tool_{n}", "description": "It does a thing.", "parameters": schema or _OBJECT}


CHAT_SHAPES: dict[str, Shape] = {
    "many tiny messages": lambda size: {
        "model": "auto",
        "messages": [{"role": ("user", "assistant")[n % 2], "content": "x"}
                     for n in range(size // 34)],
    },
    "one long text": lambda size: _chat(_words(size)),
    "one character": lambda size: _chat("x" * size),
    "no spaces, many scripts": lambda size: _chat("中a文ж" * (size // 9)),
    "many lines": lambda size: _chat("\n" * (size // 2)),
    "many parts": lambda size: _chat([{"type": "text", "text": "x"}] * (size // 30)),
    "many tools": lambda size: _chat(
        "x", tools=[{"type": "function", "function": _function(n)} for n in range(size // 150)]
    ),
    "giant schema": lambda size: _chat(
        "x", tools=[{"type": "function", "function": _function(0, _schema(size))}]
    ),
    "giant answer schema": lambda size: _chat(
        "x",
        response_format={
            "type": "json_schema", "json_schema": {"name": "a", "schema": _schema(size)}
        },
    ),
    "deep nesting": lambda size: _chat("x", metadata={"a": _deep(size)}),
    "huge image": lambda size: _chat(
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}]
    ),
    "giant tool arguments": lambda size: {
        "model": "auto",
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function",
                 "function": {"name": "b", "arguments": json.dumps({"t": "y" * size})}}]},
            {"role": "tool", "tool_call_id": "a", "content": _words(size // 4)},
        ],
        "tools": [{"type": "function", "function": _function(0)}],
    },
    "many fields": lambda size: {**_chat("x"), **{f"f{n}": n for n in range(size // 16)}},
}  # fmt: skip
RESPONSES_SHAPES: dict[str, Shape] = {
    "many tiny items": lambda size: {
        "model": "auto", "input": [{"role": "user", "content": "x"}] * (size // 34)
    },
    "many parts": lambda size: {
        "model": "auto",
        "input": [{"role": "user",
                   "content": [{"type": "input_text", "text": "x"}] * (size // 36)}],
    },
    "one long text": lambda size: {"model": "auto", "input": _words(size)},
    "many tools": lambda size: {
        "model": "auto", "input": "x",
        "tools": [{"type": "function", **_function(n)} for n in range(size // 130)],
    },
    "giant schema": lambda size: {
        "model": "auto", "input": "x",
        "tools": [{"type": "function", **_function(0, _schema(size))}],
    },
}  # fmt: skip
MESSAGES_SHAPES: dict[str, Shape] = {
    name: (lambda size, shape=CHAT_SHAPES[name]: {"max_tokens": 100, **shape(size)})  # type: ignore[misc]
    for name in ("many tiny messages", "one long text", "many lines", "many parts")
} | {
    "many tools": lambda size: {
        **_chat("x"), "max_tokens": 100,
        "tools": [{"name": f"t{n}", "input_schema": _OBJECT} for n in range(size // 70)],
    },
    "giant schema": lambda size: {
        **_chat("x"), "max_tokens": 100,
        "tools": [{"name": "t", "input_schema": _schema(size)}],
    },
    "huge document": lambda size: {
        **_chat([{"type": "document", "source": {
            "type": "base64", "media_type": "application/pdf", "data": "A" * size}}]),
        "max_tokens": 100,
    },
}  # fmt: skip
GEMINI_SHAPES: dict[str, Shape] = {
    "many tiny contents": lambda size: {
        "contents": [{"role": ("user", "model")[n % 2], "parts": [{"text": "x"}]}
                     for n in range(size // 42)]
    },
    "many parts": lambda size: {"contents": [{"parts": [{"text": "x"}] * (size // 15)}]},
    "many tools": lambda size: {
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [_function(n) for n in range(size // 110)]}],
    },
    "huge image": lambda size: {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * size}}]}]
    },
}  # fmt: skip
OWN_SHAPES: dict[str, Shape] = {
    "one long text": lambda size: {"prompt": _words(size)},
    "many fields": lambda size: {"prompt": "x", **{f"f{n}": n for n in range(size // 16)}},
}
COMPLETIONS_SHAPES: dict[str, Shape] = {
    "one long text": lambda size: {"prompt": _words(size)},
    "no spaces, many scripts": lambda size: {"prompt": "中a文ж" * (size // 9)},
    "many prompts": lambda size: {"prompt": ["x"] * (size // 5)},
}
EMBEDDINGS_SHAPES: dict[str, Shape] = {
    "one long text": lambda size: {"input": _words(size)},
    "many long texts": lambda size: {"input": [_words(size // 2048)] * 2048},
    "many tiny texts": lambda size: {"input": ["x"] * (size // 5)},
    "many tokens": lambda size: {"input": [7] * (size // 3)},
}
GEMINI_EMBED_SHAPES: dict[str, Shape] = {
    "one long text": lambda size: {"requests": [{"content": {"parts": [{"text": _words(size)}]}}]},
    "many tiny texts": lambda size: {
        "requests": [{"content": {"parts": [{"text": "x"}]}}] * (size // 45)
    },
}
SHAPES: list[tuple[str, str, dict[str, Shape]]] = [
    (CHAT, "oddgroq-1", CHAT_SHAPES),
    (CHAT, "oddclaude-1", CHAT_SHAPES),
    (RESPONSES, "oddopenai-1", RESPONSES_SHAPES),
    (RESPONSES, "oddgroq-1", RESPONSES_SHAPES),
    (MESSAGES, "oddclaude-1", MESSAGES_SHAPES),
    (MESSAGES, "oddgroq-1", MESSAGES_SHAPES),
    (GEMINI, "oddgemini-1", GEMINI_SHAPES),
    (GEMINI, "oddgroq-1", GEMINI_SHAPES),
    (OWN, "oddgroq-1", OWN_SHAPES),
    (COMPLETIONS, "oddgroq-1", COMPLETIONS_SHAPES),
    (EMBEDDINGS, "oddopenai-embedding", EMBEDDINGS_SHAPES),
    (GEMINI_EMBED, "oddopenai-embedding", GEMINI_EMBED_SHAPES),
    (COUNT_TOKENS, "oddclaude-1", MESSAGES_SHAPES),
    (COUNT_TOKENS, "oddgroq-1", MESSAGES_SHAPES),
    (GEMINI_COUNT, "oddgemini-1", GEMINI_SHAPES),
    (INPUT_TOKENS, "oddopenai-1", RESPONSES_SHAPES),
    (INPUT_TOKENS, "oddgroq-1", RESPONSES_SHAPES),
]
"""The path, the model that is asked for (of the API's own provider, and of another) and what is
asked. A model's name stands in the path or in the body."""


def request(path: str, model: str, shape: Shape, size: int) -> tuple[str, bytes]:
    """The path and the body of about ``size`` bytes."""
    body = shape(size)
    if "{model}" not in path and path != OWN:
        body = {**body, "model": model}
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return path.format(model=model), raw
