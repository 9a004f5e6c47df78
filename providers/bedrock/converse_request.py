"""Write a chat as a request to Bedrock's Converse API.

Its turns have the order that Anthropic's must have, so they are written as those, and each block
is then put into the words of this API.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import json
from typing import Any

from providers import features
from providers.anthropic.abilities import abilities
from providers.anthropic.blocks import BlockWriter
from providers.anthropic.cache_marks import HOUR_MARK, MARK, add_cache_marks
from providers.anthropic.reasoning import is_thinking, thinking_fields
from providers.anthropic.request import DEFAULT_MAX_TOKENS, JSON_ONLY, add_instruction
from providers.anthropic.tools import tool_choice, tool_definitions
from providers.anthropic.turns import TurnWriter, system_blocks
from providers.bedrock.converse_blocks import cache_point, content_blocks
from providers.chat import Chat, JsonOutput, ToolCall, ToolResult
from providers.completion import CompletionRequest
from providers.tool_names import ToolNames

LONGEST_TOOL_NAME = 64
_TIERS = {"flex": "flex", "priority": "priority", "fast": "priority"}
# Makers whose models cache what stands before a mark; others refuse marks.
# https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
_CLAUDE = "anthropic."
_CACHING = (_CLAUDE, "amazon.nova")


def converse_payload(request: CompletionRequest, provider: str) -> dict[str, Any]:
    """Return the JSON body for ``request``; ``provider`` is the name of the provider."""
    chat, model = request.chat, request.model
    names = ToolNames(chat, LONGEST_TOOL_NAME)
    marks = _is_of(model, _CACHING)
    draft = _draft(request, provider, names, marks=marks)
    body: dict[str, Any] = {
        "messages": [
            {"role": turn["role"], "content": content_blocks(turn["content"], marks=marks)}
            for turn in draft["messages"]
        ]
    }
    if system := draft.get("system"):
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        body["system"] = content_blocks(blocks, marks=marks)
    if tools := draft.get("tools"):
        body["toolConfig"] = _tool_config(tools, chat, names, model)
    more = _reasoning_fields(request)
    if config := _inference_config(request, thinks=is_thinking(more)):
        body["inferenceConfig"] = config
    if chat.output is not None and chat.output.schema is not None:
        body["outputConfig"] = {"textFormat": _text_format(chat.output)}
    if more:
        body["additionalModelRequestFields"] = more
    if tier := _TIERS.get(chat.service_tier):
        body["serviceTier"] = {"type": tier}
    return body


def _draft(
    request: CompletionRequest, provider: str, names: ToolNames, *, marks: bool
) -> dict[str, Any]:
    """Return the turns, the system prompt and the tools as Anthropic's API has them."""
    chat = request.chat
    writer = BlockWriter(provider, request.model, names)
    turns = TurnWriter(writer, later_system=False)
    draft: dict[str, Any] = {"messages": turns.turns(chat.messages, prefill=False)}
    if system := system_blocks(chat.messages):
        draft["system"] = system
    if tools := tool_definitions(chat, names):
        unasked = chat.tool_choice.mode == "none" or not chat.tools
        # This API cannot forbid calls. Calls in the conversation need their tools nevertheless.
        if not unasked or any(isinstance(p, (ToolCall, ToolResult)) for p in chat.parts()):
            draft["tools"] = tools
    if chat.output is not None and chat.output.schema is None:
        add_instruction(draft, JSON_ONLY)
    if chat.cache_session and marks:
        add_cache_marks(draft, request.model, HOUR_MARK if chat.cache_hour else MARK)
    return draft


def _is_of(model: str, makers: tuple[str, ...]) -> bool:
    return any(maker in model for maker in makers)


def _tool_config(
    tools: list[dict[str, Any]], chat: Chat, names: ToolNames, model: str
) -> dict[str, Any]:
    marks = _CLAUDE in model  # others cache what follows the tools alone
    written: list[dict[str, Any]] = []
    for tool in tools:
        spec = {"name": tool["name"], "inputSchema": {"json": tool["input_schema"]}}
        if tool.get("description"):
            spec["description"] = tool["description"]
        written.append({"toolSpec": spec})
        if marks and (mark := tool.get("cache_control")):
            written.append(cache_point(mark))
    config: dict[str, Any] = {"tools": written}
    choice = tool_choice(chat, names, forced=True)
    if choice["type"] == "any":
        config["toolChoice"] = {"any": {}}
    elif choice["type"] == "tool":
        config["toolChoice"] = {"tool": {"name": choice["name"]}}
    return config


def _inference_config(request: CompletionRequest, *, thinks: bool) -> dict[str, Any]:
    chat, lacks = request.chat, request.lacks
    temperature = None if chat.temperature is None else min(chat.temperature, 1)
    top_p = chat.top_p
    if _CLAUDE in request.model:
        if thinks or not abilities(request.model, lacks).sampling:
            temperature = top_p = None
        elif temperature is not None:
            top_p = None  # its newer models take one of them
    config = {
        "maxTokens": chat.max_tokens,
        "temperature": None if features.TEMPERATURE in lacks else temperature,
        "topP": None if features.TOP_P in lacks else top_p,
        "stopSequences": [stop for stop in chat.stop if stop.strip()] or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _text_format(output: JsonOutput) -> dict[str, Any]:
    schema = {"schema": json.dumps(output.schema), "name": output.name}
    if output.description:
        schema["description"] = output.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _reasoning_fields(request: CompletionRequest) -> dict[str, Any]:
    """Return how much the model is to reason, in the words of its maker."""
    chat, model = request.chat, request.model
    reasoning = chat.reasoning
    if reasoning is None or features.REASONING in request.lacks:
        return {}
    if _CLAUDE in model:
        most = chat.max_tokens or DEFAULT_MAX_TOKENS
        return thinking_fields(reasoning, abilities(model, request.lacks), most)
    level = reasoning.level
    if "amazon.nova-2" in model:
        # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
        if level == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        # The highest level takes no limit of tokens, which a request may have.
        effort = "low" if level in ("minimal", "low") else "medium"
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    if "openai.gpt" in model:
        nearest = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
        return {"reasoning_effort": nearest.get(level, level or "medium")}
    return {}
