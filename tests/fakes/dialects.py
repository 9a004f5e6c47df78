"""Providers with OpenAI's API, each as strict as its documentation says, and with its own words.

The sources stand beside the providers in providers/catalogue.toml; the forms of usage are those
of tests/providers/test_usage.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.streams import sse
from tests.fakes.wires import ANSWER, KEY

TOOL_NAME = "look"
THOUGHT = "France has one capital."
_USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
_NINE = re.compile(r"[a-zA-Z0-9]{9}")

Body = dict[str, Any]
Refuse = Callable[[Body], str | None]


def _one_of(names: Iterable[str]) -> Refuse:
    """Refuse each of the fields ``names``."""
    refused = frozenset(names)
    return lambda body: next((name for name in sorted(refused & body.keys())), None)


def _nothing(body: Body) -> str | None:
    """Refuse nothing."""
    return None


def _only(names: Iterable[str]) -> Refuse:
    """Refuse every field but ``names``."""
    known = frozenset(names)
    return lambda body: next((name for name in sorted(body.keys() - known)), None)


def _openai_error(message: str) -> tuple[int, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return 400, {"error": error}


def _mistral_error(message: str) -> tuple[int, Any]:
    mistake = {
        "type": "extra_forbidden", "loc": ["body", message],
        "msg": "Extra inputs are not permitted", "input": None,
    }  # fmt: skip
    return 422, {
        "object": "error",
        "message": {"detail": [mistake]},
        "type": "invalid_request_error",
        "code": None,
    }


_MISTRAL = _only(
    {
        "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed",
        "metadata", "response_format", "tools", "tool_choice", "presence_penalty",
        "frequency_penalty", "n", "prediction", "parallel_tool_calls", "prompt_mode", "safe_prompt",
    }
)  # fmt: skip
_MISTRAL_MESSAGES = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "prefix"},
    "tool": {"role", "content", "tool_call_id", "name"},
}


def _mistral(body: Body) -> str | None:
    for message in body["messages"]:
        if extra := sorted(message.keys() - _MISTRAL_MESSAGES[message["role"]]):
            return f"messages.{extra[0]}"
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        ids += [message["tool_call_id"]] if "tool_call_id" in message else []
        if any(not _NINE.fullmatch(name) for name in ids):
            return "Tool call id must be a-z, A-Z, 0-9, with a length of 9."
    return "temperature" if body.get("temperature", 0) > 1 else _MISTRAL(body)


def _moonshot(body: Body) -> str | None:
    for message in body["messages"]:
        if message.get("tool_calls") and "reasoning_content" not in message:
            return "reasoning_content is missing in assistant tool call message"
    fixed = {
        "temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "max_tokens",
    }  # fmt: skip
    return _one_of(fixed)(body)


_ZAI = _only(
    {
        "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "tools",
        "tool_choice", "response_format", "thinking", "do_sample", "tool_stream", "request_id",
        "user_id",
        # They are no reason to refuse a request.
        "user", "metadata", "store", "parallel_tool_calls",
    }
)  # fmt: skip


def _zai(body: Body) -> str | None:
    if body.get("tool_choice", "auto") != "auto":
        return "tool_choice"
    if isinstance(body.get("stop"), list) and len(body["stop"]) > 1:
        return "stop"
    if body.get("temperature", 0) > 1 or any("name" in message for message in body["messages"]):
        return "temperature or name"
    if body.get("response_format", {}).get("type") == "json_schema":
        return "response_format"
    return _ZAI(body)


def _minimax(body: Body) -> str | None:
    if not 0 < body.get("temperature", 1) <= 1:
        return "temperature must be in (0, 1]"
    return _one_of({"n", "max_tokens", "presence_penalty", "frequency_penalty", "logit_bias"})(body)


def _qwen(body: Body) -> str | None:
    if body.get("tool_choice", "auto") != "auto":
        return "tool_choice"
    return _one_of({"n", "logit_bias", "reasoning_effort"})(body)


@dataclass(frozen=True)
class Dialect:
    """A provider of the catalogue as it is reached.

    ``variable`` begins the names of its variables, ``key`` is that of its key, empty for a server
    of one's own. ``refuses`` names what is wrong with a body, ``error`` is how that is said.
    ``usage`` is its report, counted as ``counts``: input, cached, output. ``dropped`` are the
    fields of a rich request that it leaves out. ``stops`` is whether it takes stop sequences.
    ``places`` puts the usage into a stream's last chunks.
    """

    provider: str
    variable: str
    key: str
    path: str = "/v1"
    refuses: Refuse = _nothing
    error: Callable[[str], tuple[int, Any]] = _openai_error
    usage: Mapping[str, Any] = field(default_factory=lambda: dict(_USAGE))
    counts: tuple[int, int, int] = (1000, 0, 200)
    dropped: frozenset[str] = frozenset()
    stops: bool = True
    usage_in_choice: bool = False
    usage_in_every_chunk: bool = False
    finish: str = "stop"
    reasoning: str = ""
    unasked: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def wire(self, asked: Asked) -> Reply:
        """Answer as the provider does."""
        if self.key and asked.headers.get("authorization") != f"Bearer {KEY}":
            return Reply(self.error("bad key")[1], 401)
        body = asked.body
        if asked.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
            usage = {"prompt_tokens": 1000, "total_tokens": 1000}
            return Reply({"object": "list", "data": data, "model": body["model"], "usage": usage})
        if asked.path != f"{self.path}/chat/completions":
            return Reply({"error": {"message": f"no {asked.path}"}}, 404)
        if (wrong := self.refuses(body)) is not None:
            status, said = self.error(wrong)
            return Reply(said, status)
        message = self._message(body)
        finish = "tool_calls" if "tool_calls" in message else self.finish
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return Reply(self._head(body, "chat.completion", [choice]) | {"usage": self.usage})
        return Reply(chunks=list(self._chunks(body, message, finish)))

    def _message(self, body: Body) -> Body:
        message: Body = {"role": "assistant", "content": ANSWER}
        if body.get("tools") and body["messages"][-1]["role"] != "tool":
            arguments = json.dumps({"at": "Paris"})
            function = {"name": TOOL_NAME, "arguments": arguments}
            call = {"id": "a1B2c3D4e", "type": "function", "function": function}
            message = {"role": "assistant", "content": "", "tool_calls": [call]}
        if self.reasoning == "details" and body.get("reasoning_split"):
            message["reasoning_details"] = [{"type": "reasoning.text", "text": THOUGHT}]
        elif self.reasoning == "details":
            message["content"] = f"<think>{THOUGHT}</think>{message['content']}"
        elif self.reasoning:
            message[self.reasoning] = THOUGHT
        return message

    def _head(self, body: Body, kind: str, choices: list[Body]) -> Body:
        return {
            "id": "x1", "object": kind, "created": 1_790_000_000, "model": body["model"],
            "choices": choices, **self.more,
        }  # fmt: skip

    def _chunks(self, body: Body, message: Body, finish: str) -> Iterable[bytes]:
        def chunk(delta: Body, end: str | None = None) -> Body:
            choice = {"index": 0, "delta": delta, "finish_reason": end}
            return self._head(body, "chat.completion.chunk", [choice])

        deltas: list[Body] = [{"role": "assistant", "content": ""}]
        deltas += [{k: v} for k, v in message.items() if k.startswith("reasoning")]
        text = message["content"]
        deltas += [{"content": text[:9]}, {"content": text[9:]}] if text else []
        for call in message.get("tool_calls") or ():
            deltas.append({"tool_calls": [{"index": 0, **call}]})
        for number, delta in enumerate(deltas):
            data = chunk(delta)
            if self.usage_in_every_chunk:
                data["usage"] = {**self.usage, "completion_tokens": number, "total_tokens": 0}
            yield sse(data)
        last = chunk({}, finish)
        if self.usage_in_choice:
            last["choices"][0]["usage"] = self.usage
        elif self.unasked:
            last["usage"] = self.usage
        yield sse(last)
        asked_for = (body.get("stream_options") or {}).get("include_usage")
        if asked_for and not self.usage_in_choice and not self.unasked:
            yield sse(self._head(body, "chat.completion.chunk", []) | {"usage": self.usage})
        yield sse("[DONE]")


def _cached(count: int) -> Body:
    return {**_USAGE, "prompt_tokens_details": {"cached_tokens": count}}


DIALECTS = (
    Dialect(
        "mistral", "MISTRAL", "MISTRAL_API_KEY", refuses=_mistral, error=_mistral_error,
        usage={**_USAGE, "num_cached_tokens": 400}, counts=(1000, 400, 200), unasked=True,
        dropped=frozenset(
            {"logit_bias", "messages.name", "user", "reasoning_effort", "metadata", "store"}
        ),
    ),
    Dialect(
        "xai", "XAI", "XAI_API_KEY", stops=False,
        refuses=_one_of({"presence_penalty", "frequency_penalty", "stop"}),
        error=lambda wrong: (
            400,
            {
                "code": "Client specified an invalid argument",
                "error": f"Model does not support parameter {wrong}.",
            },
        ),
        usage={
            **_cached(400),
            "completion_tokens": 150,
            "completion_tokens_details": {"reasoning_tokens": 50},
            "num_sources_used": 0,
        },
        counts=(1000, 400, 200), dropped=frozenset({"presence_penalty"}),
        reasoning="reasoning_content",
    ),
    Dialect(
        "together", "TOGETHER", "TOGETHER_API_KEY", finish="eos",
        usage={**_USAGE, "cached_tokens": 400}, counts=(1000, 400, 200), more={"prompt": []},
    ),
    Dialect(
        "fireworks", "FIREWORKS", "FIREWORKS_API_KEY", path="/inference/v1", usage=_cached(400),
        counts=(1000, 400, 200), unasked=True,
    ),
    Dialect(
        "cohere", "COHERE", "COHERE_API_KEY", path="/compatibility/v1",
        refuses=_one_of(
            {
                "store", "metadata", "logit_bias", "top_logprobs", "n", "modalities", "prediction",
                "audio", "service_tier", "parallel_tool_calls", "tool_choice", "user",
            }
        ),
        error=lambda wrong: (400, {"id": "1", "message": f"parameter {wrong} is not supported"}),
        dropped=frozenset(
            {
                "logit_bias", "messages.name", "user", "reasoning_effort", "metadata", "store",
                "parallel_tool_calls",
            }
        ),
    ),
    Dialect(
        "moonshot", "MOONSHOT", "MOONSHOT_API_KEY", refuses=_moonshot,
        usage={**_USAGE, "cached_tokens": 400}, counts=(1000, 400, 200), usage_in_choice=True,
        dropped=frozenset({"temperature", "presence_penalty"}), reasoning="reasoning_content",
    ),
    Dialect(
        "zai", "ZAI", "ZAI_API_KEY", path="/api/paas/v4", refuses=_zai, unasked=True,
        error=lambda wrong: (400, {"error": {"code": "1210", "message": f"Invalid {wrong}"}}),
        usage=_cached(400), counts=(1000, 400, 200), reasoning="reasoning_content",
        dropped=frozenset(
            {"logit_bias", "messages.name", "presence_penalty", "seed", "stop"}
        ),
    ),
    Dialect(
        "qwen", "QWEN", "DASHSCOPE_API_KEY", path="/compatible-mode/v1", refuses=_qwen,
        error=lambda wrong: (
            400, {"error": {"code": "invalid_parameter_error", "message": wrong, "type": wrong}}
        ),
        usage=_cached(400), counts=(1000, 400, 200), dropped=frozenset({"logit_bias"}),
        reasoning="reasoning_content",
    ),
    Dialect(
        "minimax", "MINIMAX", "MINIMAX_API_KEY", refuses=_minimax, reasoning="details",
        error=lambda wrong: (
            400, {"type": "error", "error": {"type": "bad_request_error", "message": wrong}}
        ),
        usage={**_cached(400), "total_characters": 0}, counts=(1000, 400, 200),
        dropped=frozenset({"logit_bias", "presence_penalty"}),
        more={"base_resp": {"status_code": 0, "status_msg": ""}},
    ),
    Dialect(
        "huggingface", "HUGGINGFACE", "HF_TOKEN",
        refuses=lambda body: None if ":" in body["model"] else "model",
        error=lambda wrong: (400, {"error": f"The {wrong} names no provider"}),
    ),
    Dialect(
        "nvidia", "NVIDIA", "NVIDIA_API_KEY", usage_in_every_chunk=True,
        error=lambda wrong: (400, {"type": "about:blank", "status": 400, "detail": wrong}),
    ),
    Dialect("lmstudio", "LMSTUDIO", "", more={"stats": {}}, refuses=_one_of({"n", "logprobs"})),
    Dialect(
        "llamacpp", "LLAMACPP", "", usage={**_USAGE},
        more={"timings": {"prompt_n": 1000, "predicted_n": 200}},
    ),
)  # fmt: skip
