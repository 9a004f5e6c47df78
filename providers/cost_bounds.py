"""What bounds the cost of a call beyond its text: input of unknown size, tools, tiers.

The fields are looked for in the body that the client sent, because a field that its own wire
knows is sent as it is, and the provider charges for what it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from providers.chat import Chat, Image, Native, Part, ToolResult
from providers.token_bounds import images_in
from providers.unchecked_fields import (
    MOST_COUNT,
    camel_case,
    count_of,
    in_either_case,
    mapping_of,
    text_of,
    texts_within,
)
from providers.units import Units
from providers.unknown_input import fetched_images, unknown_input

_Body = Mapping[str, Any]
# Uses of one tool within a request, where the request sets no limit: Anthropic pauses after ten.
_MOST_USES = 10
# USD for one use of a tool that the provider runs, the highest price of the providers (2026):
# https://docs.claude.com/en/docs/about-claude/pricing, https://platform.openai.com/docs/pricing
# and https://ai.google.dev/gemini-api/docs/pricing
_FEES = {
    "web_search": Decimal("0.025"),
    "google_search": Decimal("0.035"),
    "google_maps": Decimal("0.025"),
    "file_search": Decimal("0.0025"),
    "code_interpreter": Decimal("0.03"),
    "code_execution": Decimal("0.05"),
    "shell": Decimal("0.03"),
    "image_generation": Decimal("0.25"),
}
# More advice within one request than any needs.
_MOST_ADVICE = 100
_ANTHROPIC_SEARCH = Decimal("0.01")
# Types of tools whose results come from the client, so that only their definition is input.
_CLIENT_TOOLS = (
    "apply_patch", "bash", "computer", "custom", "function", "local_shell", "memory", "namespace",
    "shell", "text_editor", "tool_search",
)  # fmt: skip
# Gemini names its own tools by a field each.
_GEMINI_TOOLS = {
    "codeExecution": "code_execution",
    "fileSearch": "file_search",
    "googleMaps": "google_maps",
    "googleSearch": "google_search",
    "googleSearchRetrieval": "google_search",
    "urlContext": "url_context",
}
# Fields that let the provider fetch input, by the tool that it runs.
_FETCHED_INPUT = {"web_search_options": "web_search", "plugins": "web_search", "mcp_servers": ""}
_PRIORITY, _FAST, _GEOGRAPHY, _AUDIO = Decimal(2), Decimal(6), Decimal("1.1"), Decimal(16)
# An automatic tier may be the priority one, which is 2.5 times as dear for GPT-5.5:
# https://openai.com/api-priority-processing/
_AUTOMATIC = Decimal("2.5")
# https://developers.openai.com/api/docs/guides/ultrafast-mode
_ULTRAFAST = Decimal(6)
_PRICED_TIERS = frozenset({"flex", "priority", "fast", "ultrafast"})
_ANYWHERE = frozenset({"", "global", "not_available"})
_LONG_CONTEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class CostBound:
    """What a call may cost, beside the tokens of its known text.

    ``output_tokens`` is the limit of all output. ``unknown`` are the fields whose input has no
    known size, each with what it holds. ``fees`` are USD for tools that the provider runs,
    ``rates`` is the most by which the model's rates are multiplied, and ``window`` the least
    size of the context window, in tokens, 0 for the model's own. ``served`` are the service
    tier, speed and geography that the request asks for, and ``advisors`` the models that
    the provider may call beside the request's own, once for each time that they are named.
    ``images`` are the images in the input; ``fetched`` of them are named by an address, behind
    which anything may be. ``units`` are the most that is billed by other units than tokens.
    """

    output_tokens: int
    unknown: tuple[tuple[str, str], ...] = ()
    fees: Decimal = Decimal(0)
    rates: Decimal = Decimal(1)
    window: int = 0
    served: tuple[str, str, str] = ("", "", "")
    advisors: tuple[str, ...] = ()
    images: int = 0
    fetched: int = 0
    units: Units | None = None


def cost_bound(chat: Chat, max_tokens: int) -> CostBound:
    """Return the bound for ``chat`` with at most ``max_tokens`` for each of its choices."""
    pictures = [part for part in _all_parts(chat) if isinstance(part, Image)]
    fetched = sum(not (part.data or part.url.startswith("data:")) for part in pictures)
    if chat.source is None:
        native = any(isinstance(part, Native) for part in chat.parts())
        return CostBound(
            max_tokens * chat.n,
            (("messages", "a part of one API"),) if native else (),
            images=len(pictures),
            fetched=fetched,
        )
    bound = body_bound(
        chat.source.wire, chat.source.body, max_tokens, n=chat.n, headers=chat.source.headers
    )
    return replace(
        bound, images=max(bound.images, len(pictures)), fetched=max(bound.fetched, fetched)
    )


def embedded_bound(body: _Body) -> CostBound:
    """Return the bound for a request of embeddings, whose texts are counted elsewhere."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    # Texts and their tokens are plain; the parts of other dialects stand alone or in lists.
    first = [item[0] if isinstance(item, list) and item else item for item in items]
    pairs = zip(items, first, strict=True)
    parts = {"input": [item for item, one in pairs if not isinstance(one, (str, int))]}
    if not parts["input"]:
        return CostBound(0)
    unknown = tuple(dict.fromkeys(unknown_input(parts)))
    return CostBound(0, unknown, fetched=fetched_images(parts))


def body_bound(
    wire: str,
    body: _Body,
    max_tokens: int,
    *,
    n: int = 1,
    headers: Mapping[str, str] | None = None,
) -> CostBound:
    """Return the bound for a request of ``wire`` with at most ``max_tokens`` for each choice."""
    tools = list(_tools_of_provider(wire, body))
    parts = list(dict.fromkeys(unknown_input(body)))
    unknown = [part for part in parts if part[1] != "audio"]
    unknown += [(field, name) for field, name, _ in tools]
    modalities = body.get("modalities")
    spoken = isinstance(modalities, list) and "audio" in modalities
    audio = spoken or any(name in {"audio", "input_audio", "audio_url"} for _, name in parts)
    rates = _rates(wire, body) * (_AUDIO if audio else 1)
    if _compacts(body):
        # A summary of all that there is, and then the answer.
        unknown.append(("context_management", "compaction"))
        rates *= 2
    geography = text_of(body.get("inference_geo")).lower()
    return CostBound(
        _output_tokens(n, max_tokens, body),
        tuple(dict.fromkeys(unknown)),
        sum((fee for *_, fee in tools), Decimal(0)),
        rates,
        _LONG_CONTEXT if "context-1m" in (headers or {}).get("anthropic-beta", "") else 0,
        (
            tier if (tier := _asked_tier(body)) in _PRICED_TIERS else "",
            "fast" if body.get("speed") == "fast" else "",
            "" if geography in _ANYWHERE else geography[:20],
        ),
        tuple(_advisors(body)),
        images_in(body),
        fetched_images(body),
    )


def _compacts(body: _Body) -> bool:
    edits = mapping_of(body.get("context_management")).get("edits")
    return isinstance(edits, list) and any(
        text_of(mapping_of(edit).get("type")).startswith("compact") for edit in edits
    )


def _advisors(body: _Body) -> Iterator[str]:
    """Yield the model of each call that the advisor tool may make."""
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        given = mapping_of(tool)
        if text_of(given.get("type")).startswith("advisor") and (
            model := text_of(given.get("model"))
        ):
            yield from [model] * min(count_of(given.get("max_uses")) or _MOST_USES, _MOST_ADVICE)


def _output_tokens(n: int, max_tokens: int, body: _Body) -> int:
    """Return the limit of all output: choices, reasoning beside them, rejected predictions."""
    choices = max(min(n, MOST_COUNT), count_of(body.get("best_of")))
    thinking = mapping_of(body.get("thinking"))
    config = in_either_case(mapping_of(in_either_case(body, "generationConfig")), "thinkingConfig")
    within = max(
        count_of(thinking.get("budget_tokens")),
        count_of(mapping_of(body.get("reasoning")).get("max_tokens")),
        count_of(in_either_case(mapping_of(config), "thinkingBudget")),
    )
    # Reasoning is part of max_tokens unless it may be longer, as between calls of tools.
    beside = within if within >= max_tokens else 0
    beside += count_of(body.get("thinking_budget"))
    rejected = sum(map(len, texts_within(body.get("prediction"))))
    return (min(max_tokens, MOST_COUNT) + beside + rejected) * choices


def _asked_tier(body: _Body) -> str:
    """Return the service tier that a request asks for; Gemini also takes its enumeration's name."""
    return text_of(in_either_case(body, "serviceTier")).lower().removeprefix("service_tier_")


def _rates(wire: str, body: _Body) -> Decimal:
    """Return the most by which the fields for speed and place multiply the rates."""
    rates, tier = Decimal(1), _asked_tier(body)
    # OpenAI's "auto" is whatever the project is set to.
    if tier in {"priority", "fast"}:
        rates *= _PRIORITY
    elif tier == "ultrafast":
        rates *= _ULTRAFAST
    elif tier == "auto" and wire != "anthropic":
        rates *= _AUTOMATIC
    if body.get("speed") == "fast":
        rates *= _FAST
    if text_of(body.get("inference_geo")).lower() not in _ANYWHERE:
        rates *= _GEOGRAPHY
    return rates


def _tools_of_provider(wire: str, body: _Body) -> Iterator[tuple[str, str, Decimal]]:
    """Yield (field, name, most fees in USD) of each tool that the provider runs."""
    most = count_of(body.get("max_tool_calls")) or _MOST_USES
    for field, name in _FETCHED_INPUT.items():
        # An empty object switches the search on, an empty list has no tool in it.
        if body.get(field) not in (None, False, []):
            yield field, name or field, _fee(wire, name) * most
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, Mapping):
            continue
        kind = text_of(tool.get("type"))
        names = [_GEMINI_TOOLS[key] for key in map(camel_case, tool) if key in _GEMINI_TOOLS]
        if kind and (_is_hosted_shell(kind, tool) or not kind.startswith(_CLIENT_TOOLS)):
            names.append(kind)
        uses = count_of(tool.get("max_uses")) or most
        for name in names:
            # A container with more memory than usual costs up to USD 2.
            places = mapping_of(tool.get("container")), mapping_of(tool.get("environment"))
            larger = Decimal(2) if any(place.get("memory_limit") for place in places) else 0
            yield "tools", name, _fee(wire, name) * uses + larger


def _is_hosted_shell(kind: str, tool: Mapping[str, Any]) -> bool:
    """Return whether the provider runs the shell, in a container, and not the client."""
    environment = text_of(mapping_of(tool.get("environment")).get("type"))
    return kind == "shell" and environment not in ("", "local")


def _fee(wire: str, name: str) -> Decimal:
    if wire == "anthropic" and name.startswith("web_search"):
        return _ANTHROPIC_SEARCH
    return next((fee for tool, fee in _FEES.items() if name.startswith(tool)), Decimal(0))


def _all_parts(chat: Chat) -> Iterator[Part]:
    """Yield the parts of a chat, those within results of tools too."""
    for part in chat.parts():
        yield part
        if isinstance(part, ToolResult):
            yield from part.content
