"""What a provider reports that decides a cost: its charge, the tier, and what has a fee."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from providers.completion import Usage
from providers.token_counts import token_counts

# The tool's default: https://platform.openai.com/docs/api-reference/responses/create
_IMAGE_MODEL = "gpt-image-1"
_MOST_USD = 1_000_000
_MOST_SEARCHES = 100_000
_TICKS_PER_USD = Decimal(10**10)
_PRICED_TIERS = frozenset({"flex", "priority", "fast", "ultrafast", "batch", "provisioned"})
# Capacity that was bought ahead: OpenAI's scale tier, Bedrock's reserved one. Vertex says
# PROVISIONED_THROUGHPUT. https://openai.com/api-scale-tier/
_BOUGHT_AHEAD = frozenset({"scale", "reserved", "provisioned_throughput"})
_GLOBAL = frozenset({"global", "not_available"})
_XAI_TOOLS = ("server_side_tool_usage_details", "server_side_tool_usage")
# xAI's names of the tools that have a fee, by the unit that it is counted in; before them may
# stand "SERVER_SIDE_TOOL_", and after them "_calls": https://docs.x.ai/developers/pricing
_XAI_UNITS = {
    "web_searches": ("web_search", "x_search", "image_search"),
    "file_searches": ("file_search", "collections_search"),
    "code_sessions": ("code_interpreter", "code_execution"),
    "attachment_searches": ("document_search", "attachment_search"),
}
COST_HEADER = "x-litellm-response-cost"
_GIGABYTES = {"1g": 1, "4g": 4, "16g": 16, "64g": 64}


def amount(value: Any) -> Decimal | None:
    """Return a number of zero or more, also one in a string; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and number >= 0 else None


def usd(value: Any) -> Decimal | None:
    """Return an amount of USD as a provider writes it, ``None`` if it cannot be one."""
    money = amount(value)
    return money if money is not None and money <= _MOST_USD else None


def reported_tools(reported: Mapping[str, Any]) -> dict[str, Any]:
    """Return how often the provider ran tools for the model, by the fields of :class:`Usage`.

    Anthropic and OpenRouter say ``server_tool_use``, Perplexity ``num_search_queries``,
    xAI ``server_side_tool_usage``, and Qwen ``plugins.search.count``, with responses
    ``x_tools.web_search.count`` (https://www.alibabacloud.com/help/en/model-studio/web-search).
    """
    tools = reported.get("server_tool_use")
    if tools and isinstance(tools, Mapping):
        return {"web_searches": _number(tools.get("web_search_requests"))}
    units = {"search_sources": _number(reported.get("num_sources_used"))}
    for name in _XAI_TOOLS:
        tools = reported.get(name)
        if tools and isinstance(tools, Mapping):
            return units | _xai_tools(tools)
    searches = _number(reported.get("num_search_queries"))
    for name, tool in (("plugins", "search"), ("x_tools", "web_search")):
        tools = reported.get(name)
        ran = tools.get(tool) if isinstance(tools, Mapping) else None
        searches = searches or (_number(ran.get("count")) if isinstance(ran, Mapping) else 0)
    return units | {"web_searches": searches}


def _xai_tools(tools: Mapping[str, Any]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for name, times in tools.items():
        name = str(name).lower().removeprefix("server_side_tool_").removesuffix("_calls")
        for unit, names in _XAI_UNITS.items():
            if name in names:
                counts[unit] = counts.get(unit, 0) + _number(times)
    return counts


def _number(value: Any) -> int:
    number = amount(value)
    return 0 if number is None or number > _MOST_SEARCHES else int(number)


def with_hosted_tools(usage: Usage, body: Mapping[str, Any]) -> Usage:
    """Return ``usage`` with the tools that ran, by the ``output`` items of OpenAI's responses.

    Opening a page has no fee: https://platform.openai.com/docs/guides/tools-web-search. Code
    and the hosted shell run in a container, which has one fee by the gigabyte of its memory:
    https://developers.openai.com/api/docs/pricing.
    Images are made by a model of their own, whose tokens are not in the usage:
    https://github.com/Wei-Shaw/sub2api/issues/1999
    """
    response = body.get("response")
    whole = response if isinstance(response, Mapping) else body
    if "tool_usage" in whole and (images := _image_model_call(whole)):
        usage = replace(usage, beside=(*usage.beside, images))
    tools = whole.get("server_side_tool_usage")
    if tools and isinstance(tools, Mapping) and not usage.has_fees:
        usage = replace(usage, **_xai_tools(tools))
    output = whole.get("output")
    if not isinstance(output, list):
        return usage
    web = files = 0
    containers: dict[str, int] = {}
    for item in output:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind == "web_search_call":
            action = item.get("action")
            kind_of_action = action.get("type") if isinstance(action, Mapping) else "search"
            web += kind_of_action == "search"
        elif kind in ("code_interpreter_call", "shell_call"):
            containers.update(_container(item, whole))
        files += kind == "file_search_call"
    kinds = {kind for tool in _tools(whole) if isinstance(kind := tool.get("type"), str)}
    preview = any(kind.startswith("web_search_preview") for kind in kinds)
    searches = usage.web_searches or web
    return replace(
        usage,
        web_searches=searches,
        preview_searches=min(web, searches) if preview else 0,
        file_searches=usage.file_searches or files,
        code_sessions=usage.code_sessions or sum(containers.values()),
    )


def _container(call: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, int]:
    """Return the gigabytes of the container in which a call ran, by its id; {} if in none.

    https://developers.openai.com/api/docs/guides/tools-shell and .../tools-code-interpreter
    """
    if call.get("type") == "code_interpreter_call":
        name, kind, place = call.get("container_id"), "code_interpreter", "container"
    else:
        environment = call.get("environment")
        if not isinstance(environment, Mapping) or environment.get("type") == "local":
            return {}
        name, kind, place = environment.get("container_id"), "shell", "environment"
    sizes = [
        _GIGABYTES.get(str(container.get("memory_limit")), 1)
        for tool in _tools(response)
        if tool.get("type") == kind and isinstance(container := tool.get(place), Mapping)
    ]
    return {str(name): max(sizes, default=1)}


def _tools(response: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tools that a response repeats from its request."""
    tools = response.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, Mapping):
            yield tool


def _image_model_call(response: Mapping[str, Any]) -> tuple[str, Usage] | None:
    """Return the model that made the images of a response, and its usage."""
    used = response.get("tool_usage")
    report = used.get("image_gen") if isinstance(used, Mapping) else None
    if not isinstance(report, Mapping):
        return None
    counts = token_counts(report)
    tokens_in, tokens_out = counts["input"] or 0, counts["output"] or 0
    if not tokens_in and not tokens_out:
        return None
    models = [
        tool.get("model") for tool in _tools(response) if tool.get("type") == "image_generation"
    ]
    model = next((name for name in models if name and isinstance(name, str)), _IMAGE_MODEL)
    return model, Usage(
        tokens_in,
        tokens_out,
        image_input_tokens=min(counts["image_in"] or 0, tokens_in),
        # Images are all that the tool returns, if it does not say otherwise.
        image_output_tokens=tokens_out if counts["image_out"] is None else counts["image_out"],
    )


def served_geography(reported: Mapping[str, Any]) -> str:
    """Return where inference was bound to, "" for anywhere.

    https://platform.claude.com/docs/en/build-with-claude/data-residency
    """
    place = reported.get("inference_geo")
    if not isinstance(place, str):
        return ""
    place = place.lower()
    return "" if place in _GLOBAL else place[:20]


def served_tier(reported: Mapping[str, Any], tier: Any = None) -> str:
    """Return the tier that served the call, "" for the standard one or an unknown one.

    It is the one that the answer names: a provider may serve another than was asked for.
    Gemini says ``serviceTier`` (https://github.com/vercel/ai/pull/15488), Vertex
    ``trafficType`` (https://github.com/theopenco/llmgateway/pull/2549), or ``traffic_type``
    within ``extra_properties`` on OpenAI's wires.
    """
    for value in (
        tier,
        reported.get("service_tier"),
        reported.get("serviceTier"),
        reported.get("trafficType"),
        reported.get("traffic_type"),
        _traffic_type(reported),
    ):
        if value and isinstance(value, str):
            name = value.lower().removeprefix("service_tier_").removeprefix("on_demand_")
            if name in _BOUGHT_AHEAD:
                return "provisioned"
            return name if name in _PRICED_TIERS else ""
    return ""


def _traffic_type(reported: Mapping[str, Any]) -> Any:
    extra = reported.get("extra_properties")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return google.get("traffic_type") if isinstance(google, Mapping) else None


def with_tier(usage: Usage, tier: str) -> Usage:
    """Return ``usage`` with the service tier beside it, unless it names one itself."""
    return usage if usage.service_tier else replace(usage, service_tier=tier)


def gateway_report(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a gateway says beside the usage that it charged, {} if it does not.

    Vercel's: https://github.com/earendil-works/pi/pull/6881. With a key of one's own it charges
    nothing, and the model's provider charges the key what ``marketCost`` says:
    https://github.com/Kilo-Org/cloud/pull/5333
    """
    about = body.get("provider_metadata")
    gateway = about.get("gateway") if isinstance(about, Mapping) else None
    cost = gateway.get("cost") if isinstance(gateway, Mapping) else None
    if not isinstance(gateway, Mapping) or cost is None:
        return {}
    market = gateway.get("marketCost")
    return {"estimated_cost": market} if amount(cost) == 0 and amount(market) else {"cost": cost}


def cost_in_headers(headers: Mapping[str, str]) -> Decimal | None:
    """Return what LiteLLM's proxy charged for a whole answer, ``None`` if it does not say.

    It says zero of models that it has no price of: https://docs.litellm.ai/docs/proxy/cost_tracking
    """
    cost = headers.get(COST_HEADER)
    return None if cost is None else usd(cost) or None


def reported_cost(reported: Mapping[str, Any]) -> Decimal | None:
    """Return what the provider says it charged for the call in USD, ``None`` if it does not.

    OpenRouter: ``cost`` (https://openrouter.ai/docs/use-cases/usage-accounting); Perplexity:
    ``cost.total_cost``; xAI: ``cost_in_usd_ticks`` (https://docs.x.ai/developers/cost-tracking);
    DeepInfra: ``estimated_cost`` (https://docs.deepinfra.com/chat/overview).
    """
    ticks = reported.get("cost_in_usd_ticks")
    if ticks is not None:
        number = amount(ticks)
        # Dividing a number with millions of digits is an error.
        most = _MOST_USD * _TICKS_PER_USD
        return None if number is None or number > most else number / _TICKS_PER_USD
    cost = reported.get("cost")
    if cost is None:
        return usd(reported.get("estimated_cost"))
    if isinstance(cost, Mapping):
        return usd(cost.get("total_cost")) if cost.get("currency", "USD") == "USD" else None
    charged = usd(cost)
    if charged is None:
        return None
    details = reported.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    paid_upstream, own_key = usd(upstream), reported.get("is_byok")
    # With a key of one's own at OpenRouter, `cost` is its fee alone, and the model's provider
    # charges the key beside it. Older answers do not say is_byok; then, and only then, the
    # provider's charge is larger than OpenRouter's.
    if own_key is True or (own_key is None and (paid_upstream or 0) > charged):
        return None if paid_upstream is None else charged + paid_upstream
    return charged
