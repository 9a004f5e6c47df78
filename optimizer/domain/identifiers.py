"""What identifies a request: its own id, and the session that it belongs to.

A request's id is a UUID of version 7 (RFC 9562, section 5.7), so that ids sort by time of arrival.
A session is one run of an agent, or one conversation. Clients show it in different places: a
header, the request's metadata, the key of a prompt cache. Where a client shows nothing, the
beginning of the conversation stands for it: later turns repeat it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from providers.chat import Chat, Text
from providers.storable import storable_text
from providers.values import frozen

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
_BEGINNINGS = tuple(beginning for beginning, _, _ in _AGENTS)
_ID_FIELDS = frozenset(
    {"metadata", "client_metadata", "session_id", "conversation", "prompt_cache_key"}
)
_HEADERS: tuple[str, ...] = ("x-session-id", "session-id", "x-session-affinity")
# Claude Code's older form of `metadata.user_id`.
_SESSION_IN_USER = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")


@frozen
class Session:
    """One run of an agent or one conversation; ids have at most 128 characters.

    ``sub_agent`` is the sub-agent that asks, empty for the main agent, and ``parent_agent`` the
    sub-agent that started it, empty if the main agent did.
    """

    id: str
    agent: str = CHAT
    sub_agent: str = ""
    parent_agent: str = ""


NO_SESSION = Session("", "")
NO_AGENTS = frozenset({"", CHAT})
"""The agents of sessions that no known agent runs."""


def session_of(
    chat: Chat, header: Callable[[str], str], *, own: str = "", key: str = "", continued: str = ""
) -> Session:
    """Return the session of a request, and the sub-agent in it.

    ``own`` is the id in our own field, which wins over what agents send. ``header`` returns a
    header by its lower-case name. Conversations of different API keys are different sessions:
    ``key`` is the beginning of the request's. ``continued`` is the session of the answer
    that the request goes on from; what the request itself shows wins over it.
    """
    user_agent = header("user-agent")
    agent, names = CHAT, _HEADERS
    if user_agent.startswith(_BEGINNINGS):
        for beginning, name, headers in _AGENTS:
            if user_agent.startswith(beginning):
                agent, names = name, headers
                break
    shown = next(filter(None, map(header, names)), "")
    root = sub_agent = parent_agent = ""
    if agent != CHAT or header("x-parent-session-id"):
        root, sub_agent, parent_agent = _sub_agent(agent, shown, header)
    session = own or root or shown
    if not session:
        body = chat.source.body if chat.source is not None else {}
        for value in () if _ID_FIELDS.isdisjoint(body) else _ids_in(body):
            if isinstance(value, str) and value:
                session = value
                break
        session = session or continued
    return Session(
        _storable_id(session) if session else _digest(chat, agent, key),
        agent,
        _storable_id(sub_agent) if sub_agent else "",
        _storable_id(parent_agent) if parent_agent else "",
    )


def _storable_id(text: str) -> str:
    return storable_text(text)[:_LONGEST_ID]


def _sub_agent(agent: str, shown: str, header: Callable[[str], str]) -> tuple[str, str, str]:
    """Return the session that a sub-agent belongs to, the sub-agent, and what started it.

    Claude Code's sub-agents carry the session of the main agent. Codex's have a thread of their
    own in it. opencode's have a session of their own, and name that of the agent that started
    them. ``shown`` is the id in the headers. All are empty where the main agent asks.
    """
    if agent == "claude-code":
        sub_agent = header("x-claude-code-agent-id")
        return "", sub_agent, header("x-claude-code-parent-agent-id") if sub_agent else ""
    if agent == "codex":
        thread, parent = header("thread-id"), header("x-codex-parent-thread-id")
        root = shown or parent
        if not thread or thread == root:
            return "", "", ""
        return root, thread, "" if parent == root else parent
    parent = header("x-parent-session-id")
    return (parent, shown, "") if parent and shown and parent != shown else ("", "", "")


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


def new_request_id(at: datetime | None = None) -> uuid.UUID:
    """Return a new id: 48 bits of Unix milliseconds (now, or ``at``), and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    random = int.from_bytes(_random.take())
    value |= (random >> 68) << 64
    value |= 0b10 << 62
    value |= random & ((1 << 62) - 1)
    return uuid.UUID(int=value)


class _Randomness:
    """Random bytes of the operating system, read in blocks.

    Each read is a system call, which costs more than the rest of an id. A forked process
    discards its parent's bytes and reads its own.
    """

    _SIZE = 10
    _TOGETHER = 4096 // _SIZE

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> bytes:
        """Return 80 random bits that no other caller gets."""
        with self._lock:
            if not self._parts:
                size = self._SIZE
                drawn = os.urandom(size * self._TOGETHER)
                self._parts = [drawn[at : at + size] for at in range(0, len(drawn), size)]
            return self._parts.pop()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._parts = []


_random = _Randomness()
