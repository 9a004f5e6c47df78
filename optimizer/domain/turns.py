"""The kind of turn that a request is in its session.

Agents ask for much that no person asked: titles, summaries, compactions of a long conversation,
classifications, probes. Some say so in a header; the rest is known by the structure of the
request and by the opening words of the agents' own instructions, which are those of Claude Code
2.1.332, Codex 0.171.0, Gemini CLI 0.61.0 and opencode 1.18.33. Claude Code's headers are
described at https://code.claude.com/docs/en/llm-gateway-protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from optimizer.domain.human_words import words_of_turn
from optimizer.domain.identifiers import CHAT, Session
from providers.chat import Chat, Message, Native, Text, Thinking, ToolCall, ToolResult
from routing.rule_parser import TURNS

HUMAN = "human"
TOOL_RESULT = "tool_result"
SUB_AGENT = "sub_agent"
TITLE = "title"
SUMMARY = "summary"
COMPACTION = "compaction"
PROBE = "probe"
CLASSIFICATION = "classification"
OTHER = "other"
KEEP_ALIVE = "keep_alive"
"""A request of this service itself, which keeps a session's prompt cache."""
KINDS = TURNS
SIDE_KINDS = frozenset({TITLE, SUMMARY, PROBE, CLASSIFICATION})
"""Kinds whose answers no person waits for and no later turn builds on."""

_MOST_READ = 4_000
"""Characters at the beginning of a text in which an agent's instruction stands."""
_MOST_MESSAGES = 64
# What Claude Code calls its side requests, by a part of the name.
_AUXILIARY = (
    ("title", TITLE),
    ("cache_touch", PROBE),
    ("cache_warm", PROBE),
    ("quota", PROBE),
    ("summar", SUMMARY),
    ("insights", SUMMARY),
    ("auto_mode", CLASSIFICATION),
    ("classif", CLASSIFICATION),
    ("triage", CLASSIFICATION),
    ("compact_fab_check", CLASSIFICATION),
)
# What Codex calls the kinds of its requests and its own sub-agents.
_CODEX = {
    "compaction": COMPACTION,
    "compact": COMPACTION,
    "memory": SUMMARY,
    "memory_consolidation": SUMMARY,
    "prewarm": PROBE,
    "warmup": PROBE,
}
# How the agents' own system prompts begin, as far as they tell a kind.
_SYSTEM_WORDS = (
    ("You are a title generator", TITLE),
    ("You are a helpful AI assistant tasked with summarizing conversations", COMPACTION),
    ("You are a context summarization agent", COMPACTION),
    ("You are a specialized system component responsible for distilling chat history", COMPACTION),
    ("You are a specialized Task Routing AI", CLASSIFICATION),
    ("You are a Task Routing AI", CLASSIFICATION),
    ("You are a diagnostic agent that determines whether", CLASSIFICATION),
    ("You are a classifier.", CLASSIFICATION),
    ("You are a security monitor for autonomous AI coding agents", CLASSIFICATION),
    ("Generate a concise, technical issue title", TITLE),
    ("Summarize what was done in this conversation", SUMMARY),
    ("Generate a concise, sentence-case title", TITLE),
)
# How the instruction in the last turn of the user begins.
_LAST_WORDS = (
    ("Your task is to create a detailed summary of the conversation so far", COMPACTION),
    ("You are performing a CONTEXT CHECKPOINT COMPACTION", COMPACTION),
    ("Summarize the user's primary intent or goal in this conversation", SUMMARY),
    ("Summarize this portion of a Claude Code session transcript", SUMMARY),
    ("Generate a title for this conversation", TITLE),
    ("Analyze *only* the content and structure of your immediately preceding", CLASSIFICATION),
)


def kind_of_turn(chat: Chat, session: Session, header: Callable[[str], str]) -> str:
    """Return the kind of turn: one of :data:`KINDS`.

    ``header`` returns a header of the request by its lower-case name.
    """
    if _asks_for_no_words(chat):
        return PROBE
    agent = session.agent
    if agent == CHAT and not session.sub_agent:
        last = chat.messages[-1] if chat.messages else None
        if last is not None and last.role == "user" and len(last.parts) == 1:
            return TOOL_RESULT if type(last.parts[0]) is ToolResult else HUMAN
    kind = ""
    if agent == "claude-code":
        kind = _kind_of_claude_code(header)
    elif agent == "codex":
        kind = _kind_of_codex(chat, header)
    if not kind and agent != CHAT:
        kind = _kind_by_words(chat)
    if kind:
        return kind
    return SUB_AGENT if session.sub_agent else _kind_by_structure(chat, agent)


def _asks_for_no_words(chat: Chat) -> bool:
    if chat.max_tokens is not None:
        return chat.max_tokens <= 1
    # A limit of zero warms Anthropic's prompt cache; a chat has no limit then.
    return chat.source is not None and chat.source.body.get("max_tokens") == 0


def _kind_of_claude_code(header: Callable[[str], str]) -> str:
    if header("x-claude-code-compaction"):
        return COMPACTION
    request_class = header("x-claude-code-request-class")
    if request_class == "compaction":
        return COMPACTION
    name = header("x-claude-code-auxiliary-type")
    for part, kind in _AUXILIARY if name else ():
        if part in name:
            return kind
    return SUB_AGENT if request_class in {"subagent", "workflow"} else ""


def _kind_of_codex(chat: Chat, header: Callable[[str], str]) -> str:
    if kind := _CODEX.get(header("x-openai-subagent")):
        return kind
    metadata: Any = None
    text = header("x-codex-turn-metadata")
    if text and '"request_kind":"turn"' not in text:
        try:
            metadata = json.loads(text)
        except (ValueError, RecursionError):
            metadata = None
    if isinstance(metadata, dict):
        for name in ("request_kind", "subagent_kind"):
            value = metadata.get(name)
            if isinstance(value, str) and (kind := _CODEX.get(value)):
                return kind
    items = chat.source.body.get("input") if chat.source is not None else None
    if isinstance(items, list) and items:
        last = items[-1]
        if isinstance(last, dict) and last.get("type") == "compaction_trigger":
            return COMPACTION
    return ""


def _kind_by_words(chat: Chat) -> str:
    """Return the kind that an agent's own instruction shows, "" if it shows none."""
    if not chat.tools or len(chat.tools) <= 1:
        for message in chat.messages[:_MOST_MESSAGES]:
            if message.role != "system":
                break
            if kind := _first_of(message, _SYSTEM_WORDS):
                return kind
    for message in reversed(chat.messages[-_MOST_MESSAGES:]):
        if message.role == "system":
            continue
        if message.role == "user" and (kind := _first_of(message, _LAST_WORDS)):
            return kind
        break
    if not chat.tools and len(chat.turns) <= 3 and _first_turn_asks_for_title(chat):
        return TITLE
    if chat.output is not None and not chat.tools:
        return _kind_by_schema(chat)
    return ""


def _first_of(message: Message, known: tuple[tuple[str, str], ...]) -> str:
    for part in message.parts:
        if isinstance(part, Text):
            beginning = part.text[:_MOST_READ]
            for words, kind in known:
                at = beginning.find(words)
                # The instruction begins the text or a line of it: a person may quote it.
                if at >= 0 and not beginning[:at].rpartition("\n")[2].strip():
                    return kind
    return ""


def _first_turn_asks_for_title(chat: Chat) -> bool:
    first = next((m for m in chat.messages if m.role == "user"), None)
    return first is not None and _first_of(first, _LAST_WORDS) == TITLE


def _kind_by_schema(chat: Chat) -> str:
    """Return the kind of a request of an agent for JSON without tools."""
    assert chat.output is not None
    fields = (chat.output.schema or {}).get("properties")
    if isinstance(fields, dict) and "title" in fields and len(fields) <= 2:
        return TITLE
    return CLASSIFICATION


def _kind_by_structure(chat: Chat, agent: str) -> str:
    """Return whether a person speaks last, or a tool's result does."""
    for message in reversed(chat.messages):
        if message.role == "system":
            continue
        if message.role == "assistant":
            return OTHER
        if agent == CHAT:
            tool = any(isinstance(part, ToolResult) for part in message.parts)
            return TOOL_RESULT if tool else HUMAN
        if words_of_turn(message).strip() or any(map(_is_a_persons, message.parts)):
            return HUMAN
        if any(isinstance(part, ToolResult) for part in message.parts):
            return TOOL_RESULT
    return OTHER


def _is_a_persons(part: object) -> bool:
    """Return whether a part is what a person attached, such as an image."""
    return not isinstance(part, (Text, ToolResult, ToolCall, Thinking, Native))
