"""Reports of usage that several tests read."""

from __future__ import annotations

from typing import Any

from providers.chat import Chat, Text
from providers.completion import Choice, Usage
from providers.usage import UsageOfStream, read_usage

CHAT = Chat.of_prompt("p" * 400)
ANSWER = (Choice((Text("a" * 200),), "stop"),)
OPENAI = {"prompt_tokens": 100, "completion_tokens": 20}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 15},
}


def usage_of(reported: Any, **body: Any) -> Usage:
    usage = read_usage({"usage": reported, **body})
    assert usage is not None
    return usage


def streamed(*reports: dict[str, Any] | None) -> Usage | None:
    stream, usage = UsageOfStream(), None
    for report in reports:
        usage = stream.add({"usage": report}) or usage
    return usage
