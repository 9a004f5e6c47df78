"""Answers of Gemini, and of the providers that speak OpenAI's wire with words of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from benchmarks.pricing.answers import KINDS, Answer, Draw, Json, chat
from benchmarks.pricing.by_hand import LAST_PLACE, Served


def _metadata(draw: Draw, units: Mapping[str, int], served: Served) -> Json:
    """https://ai.google.dev/api/generate-content#UsageMetadata: thinking is beside the answer."""
    thoughts = draw.chance.randrange(0, units["output"])
    cached = units.get("cache_read", 0)
    usage: Json = {
        "promptTokenCount": units["input"] + cached,
        "candidatesTokenCount": units["output"] - thoughts,
        "totalTokenCount": units["input"] + cached + units["output"],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    if cached:
        usage["cachedContentTokenCount"] = cached
    if served.tier:
        usage["serviceTier"] = served.tier
    return usage


def gemini(draw: Draw) -> Answer:
    """Return a whole answer of Gemini."""
    units, served = draw.tokens(), draw.served()
    body = {"usageMetadata": _metadata(draw, units, served)}
    return Answer(draw.price, "gemini", "whole", (body,), units, served)


def gemini_stream(draw: Draw) -> Answer:
    """Return the chunks of an answer: each repeats the usage so far."""
    units, served = draw.tokens(), draw.served()
    last = _metadata(draw, units, served)
    first = {**last, "candidatesTokenCount": 1}
    first["totalTokenCount"] = first["promptTokenCount"] + 1 + first.get("thoughtsTokenCount", 0)
    chunks = {"usageMetadata": first}, {"usageMetadata": last}
    return Answer(draw.price, "gemini-stream", "stream", chunks, units, served)


def gemini_search(draw: Draw) -> Answer:
    """Return an answer with searches: since Gemini 3, each query has a fee."""
    return _grounded(draw, "gemini-search", by_prompt=False)


def gemini_search_by_prompt(draw: Draw) -> Answer:
    """Return an answer with searches: up to Gemini 2.5, a prompt has one fee."""
    return _grounded(draw, "gemini-search-by-prompt", by_prompt=True)


def _grounded(draw: Draw, kind: str, *, by_prompt: bool) -> Answer:
    units, served = draw.tokens(), draw.served()
    count = draw.chance.randrange(1, 5)
    tools = draw.chance.randrange(1, 900)
    usage = _metadata(draw, units, served)
    # What the tool gave the model is input beside the prompt.
    usage["toolUsePromptTokenCount"] = tools
    usage["totalTokenCount"] += tools
    units["input"] += tools
    queries = [f"query {number}" for number in range(count)]
    candidates = [{"groundingMetadata": {"webSearchQueries": [*queries, queries[0], ""]}}]
    units["web_searches"] = 1 if by_prompt else count
    body = {"candidates": candidates, "usageMetadata": usage}
    return Answer(draw.price, kind, "whole", (body,), units, served)


def gemini_media(draw: Draw) -> Answer:
    """Return an answer to audio, a part of which was read from a cache."""
    chance, served = draw.chance, draw.served()
    names = ("input", "input_audio", "cache_read", "cache_audio_read", "output")
    units = {name: chance.randrange(1, 9_000) for name in names}
    size = sum(units.values()) - units["output"]
    audio = units["input_audio"] + units["cache_audio_read"]
    usage = {
        "promptTokenCount": size,
        "cachedContentTokenCount": units["cache_read"] + units["cache_audio_read"],
        "candidatesTokenCount": units["output"],
        "totalTokenCount": size + units["output"],
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": size - audio},
            {"modality": "AUDIO", "tokenCount": audio},
        ],
        "cacheTokensDetails": [
            {"modality": "AUDIO", "tokenCount": units["cache_audio_read"]},
            {"modality": "TEXT", "tokenCount": units["cache_read"]},
        ],
    }
    return Answer(draw.price, "gemini-media", "whole", ({"usageMetadata": usage},), units, served)


def gemini_image(draw: Draw) -> Answer:
    """Return an answer with an image: its tokens are output at a price of their own."""
    units = {
        "input": draw.chance.randrange(1, 900),
        "output": draw.chance.randrange(1, 90),
        "output_image": 1290 * draw.chance.randrange(1, 4),
    }
    written = units["output"] + units["output_image"]
    usage = {
        "promptTokenCount": units["input"],
        "candidatesTokenCount": written,
        "totalTokenCount": units["input"] + written,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": units["output_image"]}],
    }
    body = {"usageMetadata": usage}
    return Answer(draw.price, "gemini-image", "whole", (body,), units, draw.served())


def deepseek(draw: Draw) -> Answer:
    """Return an answer of DeepSeek, which counts hits and misses of its cache."""
    units, served = draw.tokens(), draw.served()
    body = {"usage": _deepseek_usage(units)}
    return Answer(draw.price, "deepseek", "whole", (body,), units, served)


def deepseek_stream(draw: Draw) -> Answer:
    """Return the same as chunks."""
    units, served = draw.tokens(), draw.served()
    chunks = {"choices": [{"delta": {}}]}, {"choices": [], "usage": _deepseek_usage(units)}
    return Answer(draw.price, "deepseek-stream", "stream", chunks, units, served)


def _deepseek_usage(units: Mapping[str, int]) -> Json:
    """https://api-docs.deepseek.com/guides/kv_cache"""
    hit = units.get("cache_read", 0)
    return {
        "prompt_tokens": units["input"] + hit,
        "prompt_cache_hit_tokens": hit,
        "prompt_cache_miss_tokens": units["input"],
        "completion_tokens": units["output"],
        "total_tokens": units["input"] + hit + units["output"],
    }


def groq_stream(draw: Draw) -> Answer:
    """Return chunks of Groq, whose usage stands in an object of its own."""
    answer = chat(draw)
    (body,) = answer.bodies
    chunks = {"choices": [{"delta": {}}]}, {"choices": [], "x_groq": {"usage": body["usage"]}}
    return Answer(draw.price, "groq-stream", "stream", chunks, answer.units, answer.served)


def _reporting(draw: Draw, kind: str, usage: Json, cost: Decimal) -> Answer:
    counts = {"prompt_tokens": draw.chance.randrange(1, 9_000), "completion_tokens": 9}
    body = {"usage": {**counts, **usage}}
    return Answer(draw.price, kind, "whole", (body,), {}, draw.served(), cost.quantize(LAST_PLACE))


def _cost(draw: Draw) -> Decimal:
    return Decimal(draw.chance.randrange(1, 10**9)) / 10**10


def reported(draw: Draw) -> Answer:
    """Return an answer of OpenRouter, which says its cost."""
    cost = _cost(draw)
    details = {"upstream_inference_cost": None}
    usage = {"cost": float(cost), "is_byok": False, "cost_details": details}
    return _reporting(draw, "reported", usage, cost)


def reported_own_key(draw: Draw) -> Answer:
    """Return the same with a key of one's own: the fee, and what the provider charged for it."""
    fee, upstream = _cost(draw), _cost(draw)
    details = {"upstream_inference_cost": float(upstream)}
    usage = {"cost": float(fee), "is_byok": True, "cost_details": details}
    return _reporting(draw, "reported-own-key", usage, fee + upstream)


def ticks(draw: Draw) -> Answer:
    """Return an answer of xAI, which says its cost in ticks of 1e-10 USD."""
    number = draw.chance.randrange(1, 10**11)
    return _reporting(draw, "ticks", {"cost_in_usd_ticks": number}, Decimal(number) / 10**10)


def perplexity(draw: Draw) -> Answer:
    """Return an answer of Perplexity, which says its cost in parts."""
    cost = _cost(draw)
    parts: dict[str, Any] = {"request_cost": 0.006, "total_cost": float(cost)}
    usage = {"cost": parts, "search_context_size": "low"}
    return _reporting(draw, "perplexity", usage, cost)


EVERY_KIND: dict[str, Callable[[Draw], Answer]] = {
    **KINDS,
    "gemini": gemini,
    "gemini-stream": gemini_stream,
    "gemini-search": gemini_search,
    "gemini-search-by-prompt": gemini_search_by_prompt,
    "gemini-media": gemini_media,
    "gemini-image": gemini_image,
    "deepseek": deepseek,
    "deepseek-stream": deepseek_stream,
    "groq-stream": groq_stream,
    "reported": reported,
    "reported-own-key": reported_own_key,
    "ticks": ticks,
    "perplexity": perplexity,
}
