"""Our own estimates of the tokens that a provider did not report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from providers.chat import TOKENS_PER_MESSAGE, Chat, ToolCall
from providers.completion import Choice, Usage
from providers.token_estimates import estimate_tokens


def charged_input(chat: Chat) -> int:
    """Return the estimated input tokens that a provider charges for.

    They include what it adds to a single message, which is not part of the prompt.
    """
    tokens = chat.estimated_tokens()
    return tokens + TOKENS_PER_MESSAGE if len(chat.messages) == 1 else tokens


_LIMIT_PASSED = 1.5
"""An estimate that is this many times ``max_tokens`` shows that the provider did not keep it."""


def estimated_usage(chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Return our own estimate of a call's tokens, marked as estimated."""
    output = sum(
        estimate_tokens(part.name + part.arguments)
        if isinstance(part, ToolCall)
        else estimate_tokens(part.text)
        for choice in choices
        for part in choice.parts
    )
    if chat.max_tokens is not None:
        allowed = chat.max_tokens * chat.n
        # A little more is an error of the estimate. Much more was written beyond the limit.
        if output <= allowed * _LIMIT_PASSED:
            output = min(output, allowed)
    return Usage(charged_input(chat), output, estimated=True)


# Where no limit is set, most answers are shorter.
_USUAL_OUTPUT = 1_000


def lost_usage(chat: Chat) -> Usage:
    """Return our estimate for a call whose whole answer was lost, marked as estimated.

    The provider may have written all that the request allows; it does not notice that nobody
    waits for it any more.
    """
    output = (_USUAL_OUTPUT if chat.max_tokens is None else chat.max_tokens) * chat.n
    return Usage(charged_input(chat), output, estimated=True)


def complete_usage(usage: Usage | None, chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Return ``usage`` with our own estimate of what the provider did not report.

    A report of no output is no count if the answer has content.
    """
    if usage is None:
        return estimated_usage(chat, choices)
    if usage.output_tokens and not usage.unreported:
        return usage
    estimate = estimated_usage(chat, choices)
    input_known = "input" not in usage.unreported
    if input_known and "output" not in usage.unreported and not estimate.output_tokens:
        return usage
    return replace(
        usage,
        input_tokens=usage.input_tokens if input_known else estimate.input_tokens,
        # What was reported before the end is a lower bound.
        output_tokens=usage.output_tokens
        if usage.output_tokens and "output" not in usage.unreported
        else max(usage.output_tokens, estimate.output_tokens),
        estimated=True,
        unreported=(),
    )


def complete_embedded_usage(usage: Usage | None, body: Mapping[str, Any]) -> Usage:
    """Return the usage of embeddings, whose input is estimated if it is not reported."""
    if usage is not None and "input" not in usage.unreported:
        # Embeddings have no output to report.
        return replace(usage, output_tokens=0, estimated=False, unreported=())
    usage = usage or Usage(0, 0)
    tokens = embedded_tokens(body)
    return replace(usage, input_tokens=tokens, output_tokens=0, estimated=True, unreported=())


def embedded_tokens(body: Mapping[str, Any]) -> int:
    """Return the estimated tokens of the texts, or the tokens, of a request for embeddings."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    return sum(
        estimate_tokens(item)
        if isinstance(item, str)
        else (len(item) if isinstance(item, list) else 1)
        for item in items
    )
