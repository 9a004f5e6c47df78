"""Write a chat as a request to Anthropic's Messages API.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from providers.anthropic.abilities import Abilities, abilities
from providers.anthropic.answer import LONGEST_TOOL_NAME
from providers.anthropic.blocks import BlockWriter
from providers.anthropic.cache_marks import HOUR_MARK, MARK, add_cache_marks
from providers.anthropic.reasoning import is_thinking, thinking_fields
from providers.anthropic.relayed import (
    drop_impossible_thinking,
    fit_for_chosen,
    lacks_thinking,
    restored_messages,
)
from providers.anthropic.schemas import strict_schema
from providers.anthropic.tools import tool_choice, tool_definitions
from providers.anthropic.turns import TurnWriter, system_blocks
from providers.chat import Chat, Reasoning
from providers.completion import CompletionRequest
from providers.open_calls import with_result_blocks
from providers.tool_names import ToolNames

WIRE = "anthropic"
# This wire requires max_tokens; every one of its models may answer with this many.
DEFAULT_MAX_TOKENS = 16384
_LONGEST_USER_ID = 256
_FIELDS_NOT_SENT = frozenset({"model", "optimizer", "stream"})
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_PERSONAL = re.compile(r"[^\s@]+@[^\s@]+|\+?\d[\d ()/.-]{7,}\d")
JSON_ONLY = "Answer with one JSON object and nothing else: no code fence, no words around it."


def anthropic_payload(request: CompletionRequest, provider: str = "") -> dict[str, Any]:
    """Return the JSON body. A request that came in on this wire keeps all its fields.

    ``provider`` is the name of the provider, to tell its own reasoning from that of others.
    """
    chat = request.chat
    can = abilities(request.model, request.lacks)
    if chat.source is None or chat.source.wire != WIRE:
        body = _translated(request, can, provider)
    else:
        body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
        _adapt(body, request, can, provider)
    body["model"] = request.model
    if chat.cache_session and (chat.chosen or chat.source is None or chat.source.wire != WIRE):
        add_cache_marks(body, request.model, HOUR_MARK if chat.cache_hour else MARK)
    return body


def _adapt(body: dict[str, Any], request: CompletionRequest, can: Abilities, provider: str) -> None:
    """Change in a copy of the client's own body what has to change."""
    chat = request.chat
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    elif chat.chosen and body.get("max_tokens") is None:
        body["max_tokens"] = DEFAULT_MAX_TOKENS
    metadata = body.get("metadata")
    fields = dict(metadata) if isinstance(metadata, Mapping) else {}
    user = fields.get("user_id")
    # The provider refuses an address; ids of agents are long and full of digits.
    if isinstance(user, str) and _ADDRESS.search(user):
        body["metadata"] = {**fields, "user_id": _user_id(user)}
    if chat.sealed and isinstance(body.get("messages"), list):
        body["messages"] = restored_messages(chat, body["messages"], provider, request.model)
    if chat.chosen:
        if len(chat.messages) > 1 and isinstance(body.get("messages"), list):
            body["messages"] = with_result_blocks(body["messages"])
        fit_for_chosen(body, chat, can)
    if chat.chosen or chat.sealed:
        drop_impossible_thinking(body, can)


def _translated(request: CompletionRequest, can: Abilities, provider: str) -> dict[str, Any]:
    chat = request.chat
    names = ToolNames(chat, LONGEST_TOOL_NAME)
    writer = BlockWriter(provider, request.model, names)
    from_openai = chat.source is not None and chat.source.wire.startswith("openai")
    turns = TurnWriter(writer, later_system=can.later_system)
    body: dict[str, Any] = {
        "max_tokens": chat.max_tokens or DEFAULT_MAX_TOKENS,
        # With OpenAI's API a new turn follows the assistant's last message.
        "messages": turns.turns(chat.messages, prefill=can.prefill and not from_openai),
    }
    if system := system_blocks(chat.messages):
        body["system"] = system
    _add_tools(body, chat, can, names)
    _add_output(body, chat)
    _add_thinking(body, chat, can)
    _add_sampling(body, chat, can)
    if stops := [stop for stop in chat.stop if stop.strip()]:
        body["stop_sequences"] = stops
    if chat.user:
        body["metadata"] = {"user_id": _user_id(chat.user)}
    if chat.cache is not None:
        body["cache_control"] = dict(chat.cache)
    return body


def _add_tools(body: dict[str, Any], chat: Chat, can: Abilities, names: ToolNames) -> None:
    tools = tool_definitions(chat, names)
    if not tools:
        return
    body["tools"] = tools
    body["tool_choice"] = tool_choice(chat, names, forced=can.forced_tools)
    if chat.tools and not can.forced_tools and chat.tool_choice.mode in {"required", "named"}:
        # The model cannot be forced, so it is told.
        name = names.outer(chat.tool_choice.name)
        which = f"the tool {name}" if name else "one of the tools"
        add_instruction(body, f"Answer by calling {which}.")


def _add_output(body: dict[str, Any], chat: Chat) -> None:
    if chat.output is None:
        return
    if chat.output.schema is None:
        add_instruction(body, JSON_ONLY)
        return
    schema = strict_schema(chat.output.schema)
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def add_instruction(body: dict[str, Any], words: str) -> None:
    """Add an instruction at the end of the system prompt."""
    if isinstance(body.get("system"), list):
        body["system"] = [*body["system"], {"type": "text", "text": words}]
    else:
        body["system"] = "\n\n".join(filter(None, (body.get("system"), words)))


def _add_thinking(body: dict[str, Any], chat: Chat, can: Abilities) -> None:
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    reasoning = chat.reasoning
    if reasoning is None:
        if not (forced and can.off):
            return
        # The model would think by itself, and then refuses to be forced.
        reasoning = Reasoning("none")
    budgeted = can.budgets and not can.adaptive
    prefilled = body["messages"][-1]["role"] == "assistant"
    thinks = not (forced or prefilled or (budgeted and lacks_thinking(body["messages"])))
    fields = thinking_fields(reasoning, can, body["max_tokens"], thinks=thinks)
    config = {**body.get("output_config", {}), **fields.pop("output_config", {})}
    body.update(fields)
    if config:
        body["output_config"] = config


def _add_sampling(body: dict[str, Any], chat: Chat, can: Abilities) -> None:
    if not can.sampling or is_thinking(body):
        return
    # 1 is the default and need not be sent; the newest models reject any other value.
    if chat.temperature not in (None, 1):
        body["temperature"] = min(chat.temperature, 1)
    if chat.top_p not in (None, 1) and "temperature" not in body:
        body["top_p"] = chat.top_p
    if chat.top_k:
        body["top_k"] = chat.top_k


def _user_id(user: str) -> str:
    """Return an id of the user that says nothing of the person, as this wire requires."""
    if len(user) <= _LONGEST_USER_ID and not _PERSONAL.search(user):
        return user
    return f"user_{hashlib.sha256(user.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
