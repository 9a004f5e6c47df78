"""Tells which run of an agent, or which conversation, a request belongs to.

Clients show it in different places: a header, the request's metadata, the key of a prompt cache.
Where a client shows nothing, the beginning of the conversation stands for it: later turns
repeat it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from providers.chat import Chat, Text
from providers.storable import storable_text

CHAT = "chat"
"""The agent of a request that no known agent sent."""
_LONGEST_ID = 128
_MOST_DIGESTED = 65_536
"""Characters of a text that tell conversations apart."""
_MOST_TEXTS = 32
"""Texts at the beginning of a conversation that tell it apart."""
# The beginning of the User-Agent, the agent, and the headers that hold the run's id.
_AGENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("claude-cli/", "claude-code", ("x-claude-code-session-id",)),
    ("codex", "codex", ("session-id", "session_id")),
    ("GeminiCLI", "gemini-cli", ()),
    ("opencode/", "opencode", ("x-session-id", "x-session-affinity")),
)
_HEADERS: tuple[str, ...] = ("x-session-id", "session-id", "x-session-affinity")
# Claude Code's older form of `metadata.user_id`.
_SESSION_IN_USER = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")


@dataclass(frozen=True, slots=True)
class Session:
    """One run of an agent or one conversation; ``id`` has at most 128 characters."""

    id: str
    agent: str = CHAT


def session_of(
    chat: Chat, header: Callable[[str], str], *, own: str = "", key: str = ""
) -> Session:
    """Return the session of a request.

    ``own`` is the id in our own field, which wins over what agents send. ``header`` returns a
    header by its lower-case name. Conversations of different API keys are different sessions:
    ``key`` is the beginning of the request's.
    """
    user_agent = header("user-agent")
    agent, names = CHAT, _HEADERS
    for beginning, name, headers in _AGENTS:
        if user_agent.startswith(beginning):
            agent, names = name, headers
            break
    if own:
        return Session(own, agent)
    for name in names:
        if value := header(name):
            return Session(storable_text(value)[:_LONGEST_ID], agent)
    body = chat.source.body if chat.source is not None else {}
    for value in _ids_in(body):
        if isinstance(value, str) and value:
            return Session(storable_text(value)[:_LONGEST_ID], agent)
    return Session(_digest(chat, agent, key), agent)


def _ids_in(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what may be the session's id in a request's fields, the surest first."""
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        yield metadata.get("session_id")
        yield _id_in_user(metadata.get("user_id"))
    metadata = body.get("client_metadata")
    if isinstance(metadata, dict):
        yield metadata.get("session_id")
    yield body.get("session_id")
    conversation = body.get("conversation")
    yield conversation.get("id") if isinstance(conversation, dict) else conversation
    yield body.get("prompt_cache_key")


def _id_in_user(user: Any) -> Any:
    """Return the session in Claude Code's id of a user: JSON, or words joined by underscores."""
    if not isinstance(user, str):
        return None
    if user.startswith("{"):
        try:
            fields = json.loads(user)
        except (ValueError, RecursionError):
            return None
        return fields.get("session_id") if isinstance(fields, dict) else None
    match = _SESSION_IN_USER.search(user)
    return match and match.group(1)


def _digest(chat: Chat, agent: str, key: str) -> str:
    """Return an id made of what a conversation begins with and its API key.

    An agent asks about one conversation with several system prompts, and its context is a turn
    of its own in some of these requests: what people and the agent say first counts alone.
    """
    roles = ("user",) if agent != CHAT else ("system", "user")
    texts = [key]
    for message in chat.messages:
        if message.role == "assistant" or len(texts) > _MOST_TEXTS:
            break
        if message.role in roles:
            texts += [p.text[:_MOST_DIGESTED] for p in message.parts if isinstance(p, Text)]
    beginning = "\0".join(texts[:_MOST_TEXTS])
    return f"chat-{hashlib.sha256(beginning.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
