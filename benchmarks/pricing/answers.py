"""Answers as providers give them, each with the units that it is charged for.

Each kind writes the usage in one dialect. The quantities are drawn first, and both the answer
and the price by hand are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Literal

from benchmarks.pricing.by_hand import Published, Served, cost_by_hand

Shape = Literal["whole", "stream", "batch", "embeddings"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a body, or the events of a stream, and what it is charged for.

    ``reported`` is what the answer says that it cost, ``None`` if it does not say it.
    """

    price: Published
    kind: str
    shape: Shape
    bodies: tuple[Json, ...]
    units: Mapping[str, int]
    served: Served
    reported: Decimal | None = None

    @property
    def cost(self) -> Decimal:
        """What it costs in USD, by hand."""
        if self.price.prepaid:
            return Decimal(0)
        if self.reported is not None:
            return self.reported
        return cost_by_hand(self.price, self.units, self.served)


@dataclass(frozen=True, slots=True)
class Draw:
    """The chance of one answer, and the prices of other models that it may call."""

    price: Published
    chance: Random
    others: Mapping[str, Published]

    def tokens(self, *, cached: bool = True, written: bool = False) -> dict[str, int]:
        """Return quantities of text; long ones where the price has a step."""
        price, chance = self.price, self.chance
        most = chance.choice((200, 20_000, price.above * 2 or 60_000))
        units = {"input": chance.randrange(1, most), "output": chance.randrange(1, 9_000)}
        if cached and "cache_read" in price.units and chance.random() < 0.6:
            units["cache_read"] = chance.randrange(1, most)
        if written and "cache_write" in price.units and chance.random() < 0.6:
            units["cache_write"] = chance.randrange(1, most)
        if written and "cache_write_1h" in price.units and chance.random() < 0.4:
            units["cache_write_1h"] = chance.randrange(1, most)
        return units

    def served(self, *, tiers: bool = True) -> Served:
        """Return when and how the call was served; not as a batch."""
        names = [tier for tier in self.price.tiers if tier != "batch"]
        tier = self.chance.choice(["", *names]) if tiers else ""
        return Served(self.price.moment(self.chance), tier)


def _messages_usage(units: Mapping[str, int]) -> Json:
    """https://platform.claude.com/docs/en/api/messages"""
    five, hour = units.get("cache_write", 0), units.get("cache_write_1h", 0)
    usage: Json = {
        "input_tokens": units["input"],
        "cache_read_input_tokens": units.get("cache_read", 0),
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": units["output"],
        "service_tier": "standard",
    }
    if searches := units.get("web_searches"):
        usage["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 1}
    return usage


def _message(draw: Draw) -> tuple[Json, dict[str, int], Served]:
    units, served = draw.tokens(written=True), draw.served(tiers=False)
    if draw.chance.random() < 0.3:
        units["web_searches"] = draw.chance.randrange(1, 9)
    served.us = draw.price.us is not None and draw.chance.random() < 0.4
    served.fast = draw.price.fast is not None and draw.chance.random() < 0.3
    usage = _messages_usage(units)
    usage["inference_geo"] = "us" if served.us else draw.chance.choice(["global", "not_available"])
    usage["speed"] = "fast" if served.fast else "standard"
    return usage, units, served


def messages(draw: Draw) -> Answer:
    """Return an answer of Anthropic's Messages API."""
    usage, units, served = _message(draw)
    return Answer(draw.price, "messages", "whole", ({"usage": usage},), units, served)


def messages_stream(draw: Draw) -> Answer:
    """Return the events of a stream, whose usage comes in two parts."""
    usage, units, served = _message(draw)
    start = {"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}}
    last = {"output_tokens": usage["output_tokens"]}
    if "server_tool_use" in usage:
        last["server_tool_use"] = usage.pop("server_tool_use")
    end = {"type": "message_delta", "usage": last}
    return Answer(draw.price, "messages-stream", "stream", (start, end), units, served)


def _with_iteration(draw: Draw, kind: str, beside: str) -> Answer:
    usage, units, served = _message(draw)
    usage["speed"], served.fast = "standard", False
    model = draw.price if not beside else draw.others[beside]
    more = Draw(model, draw.chance, draw.others).tokens(written=True)
    inner = Served(served.at, us=served.us)
    served.extra.append(cost_by_hand(model, more, inner))
    own: Json = {"type": "message", **_messages_usage(units)}
    other: Json = {"type": kind, **_messages_usage(more)}
    if beside:
        other["model"] = beside
    usage["iterations"] = [other, own] if kind == "compaction" else [own, other]
    return Answer(draw.price, kind, "whole", ({"usage": usage},), units, served)


def compaction(draw: Draw) -> Answer:
    """Return an answer before which the conversation was compacted."""
    return _with_iteration(draw, "compaction", "")


def advice(draw: Draw) -> Answer:
    """Return an answer of a model that asked a dearer one."""
    return _with_iteration(draw, "advisor_message", "claude-opus-5")


def message_batch(draw: Draw) -> Answer:
    """Return a line of the results of a batch of messages."""
    units, served = draw.tokens(written=True), Served(draw.price.moment(draw.chance), "batch")
    usage = {**_messages_usage(units), "service_tier": "batch"}
    message = {"model": draw.price.model, "usage": usage}
    line = {"custom_id": "a", "result": {"type": "succeeded", "message": message}}
    return Answer(draw.price, "message-batch", "batch", (line,), units, served)


def _openai_usage(draw: Draw, units: Mapping[str, int], *, responses: bool = False) -> Json:
    """https://platform.openai.com/docs/api-reference/chat/object"""
    size = units["input"] + units.get("cache_read", 0) + units.get("cache_write", 0)
    inputs: Json = {"cached_tokens": units.get("cache_read", 0)}
    if "cache_write" in units:
        inputs["cache_write_tokens"] = units["cache_write"]
    outputs: Json = {"reasoning_tokens": draw.chance.randrange(0, units["output"] + 1)}
    first, second = ("input", "output") if responses else ("prompt", "completion")
    return {
        f"{first}_tokens": size,
        f"{first}_tokens_details": inputs,
        f"{second}_tokens": units["output"],
        f"{second}_tokens_details": outputs,
        "total_tokens": size + units["output"],
    }


def _tier_of(served: Served) -> str:
    return served.tier or "default"


def chat(draw: Draw) -> Answer:
    """Return a chat completion."""
    units, served = draw.tokens(written=True), draw.served()
    body = {"usage": _openai_usage(draw, units), "service_tier": _tier_of(served)}
    return Answer(draw.price, "chat", "whole", (body,), units, served)


def chat_stream(draw: Draw) -> Answer:
    """Return the chunks of a chat completion; the last one has the usage."""
    units, served = draw.tokens(), draw.served()
    tier = {"service_tier": _tier_of(served)}
    first = {"choices": [{"delta": {"content": "a"}}], **tier, "usage": None}
    last = {"choices": [], **tier, "usage": _openai_usage(draw, units)}
    return Answer(draw.price, "chat-stream", "stream", (first, last), units, served)


def prediction(draw: Draw) -> Answer:
    """Return a chat completion with predicted output, whose rejected tokens are output, too."""
    units, served = draw.tokens(), draw.served()
    usage = _openai_usage(draw, units)
    accepted = draw.chance.randrange(0, units["output"])
    usage["completion_tokens_details"] = {
        "accepted_prediction_tokens": accepted,
        "rejected_prediction_tokens": units["output"] - accepted,
    }
    body = {"usage": usage, "service_tier": _tier_of(served)}
    return Answer(draw.price, "prediction", "whole", (body,), units, served)


def chat_audio(draw: Draw) -> Answer:
    """Return a spoken chat completion: audio is part of the input and of the output."""
    chance = draw.chance
    units = {
        name: chance.randrange(1, 5_000)
        for name in ("input", "output", "input_audio", "output_audio")
    }
    size, written = units["input"] + units["input_audio"], units["output"] + units["output_audio"]
    usage = {
        "prompt_tokens": size,
        "completion_tokens": written,
        "total_tokens": size + written,
        "prompt_tokens_details": {"audio_tokens": units["input_audio"], "cached_tokens": 0},
        "completion_tokens_details": {"audio_tokens": units["output_audio"]},
    }
    return Answer(draw.price, "chat-audio", "whole", ({"usage": usage},), units, draw.served())


def responses(draw: Draw) -> Answer:
    """Return a response of OpenAI's Responses API."""
    units, served = draw.tokens(written=True), draw.served()
    usage = _openai_usage(draw, units, responses=True)
    body = {"object": "response", "usage": usage, "service_tier": _tier_of(served), "output": []}
    return Answer(draw.price, "responses", "whole", (body,), units, served)


def hosted_tools(draw: Draw) -> Answer:
    """Return a response for which OpenAI searched and ran code."""
    units, served, chance = draw.tokens(), draw.served(), draw.chance
    tools = {name: chance.randrange(0, 4) for name in ("web_searches", "file_searches")}
    tools["code_sessions"] = chance.randrange(0, 3)
    searches = [{"type": "web_search_call", "action": {"type": "search"}}] * tools["web_searches"]
    opened = {"type": "web_search_call", "action": {"type": "open_page"}}
    files = [{"type": "file_search_call"}] * tools["file_searches"]
    code = [
        {"type": "code_interpreter_call", "container_id": f"cntr_{number}"}
        for number in range(tools["code_sessions"])
    ]
    body = {
        "usage": _openai_usage(draw, units, responses=True),
        "service_tier": _tier_of(served),
        "output": [*searches, opened, *files, *code, *code, {"type": "message"}],
    }
    units |= {name: count for name, count in tools.items() if count}
    return Answer(draw.price, "hosted-tools", "whole", (body,), units, served)


def image_tool(draw: Draw) -> Answer:
    """Return a response with an image, which a model of its own made."""
    units, served, chance = draw.tokens(), Served(draw.price.moment(draw.chance)), draw.chance
    image = draw.others["gpt-image-1"]
    made = {name: chance.randrange(1, 4_000) for name in ("input", "input_image", "output_image")}
    served.extra.append(cost_by_hand(image, made, Served(served.at)))
    report = {
        "input_tokens": made["input"] + made["input_image"],
        "input_tokens_details": {"image_tokens": made["input_image"], "text_tokens": made["input"]},
        "output_tokens": made["output_image"],
        "output_tokens_details": {"image_tokens": made["output_image"]},
    }
    body = {
        "usage": _openai_usage(draw, units, responses=True),
        "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
        "tool_usage": {"image_gen": report},
        "output": [{"type": "image_generation_call"}],
    }
    return Answer(draw.price, "image-tool", "whole", (body,), units, served)


def chat_batch(draw: Draw) -> Answer:
    """Return a line of the results of a batch of chats."""
    units, served = draw.tokens(), Served(draw.price.moment(draw.chance), "batch")
    body = {"model": draw.price.model, "usage": _openai_usage(draw, units)}
    line = {"custom_id": "a", "response": {"status_code": 200, "body": body}}
    return Answer(draw.price, "chat-batch", "batch", (line,), units, served)


def embeddings(draw: Draw) -> Answer:
    """Return embeddings, which have no output."""
    size = draw.chance.randrange(1, 90_000)
    body = {"data": [], "usage": {"prompt_tokens": size, "total_tokens": size}}
    return Answer(draw.price, "embeddings", "embeddings", (body,), {"input": size}, draw.served())


KINDS: dict[str, Callable[[Draw], Answer]] = {
    "messages": messages,
    "messages-stream": messages_stream,
    "compaction": compaction,
    "advice": advice,
    "message-batch": message_batch,
    "chat": chat,
    "chat-stream": chat_stream,
    "prediction": prediction,
    "chat-audio": chat_audio,
    "responses": responses,
    "hosted-tools": hosted_tools,
    "image-tool": image_tool,
    "chat-batch": chat_batch,
    "embeddings": embeddings,
}
