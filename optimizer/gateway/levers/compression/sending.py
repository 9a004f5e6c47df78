"""Decides how the parts of a conversation are sent, and writes them so."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from optimizer.gateway.levers.compression.hidden import (
    RESTORE,
    TURN,
    HiddenCall,
    HiddenRound,
    of_stored,
    with_rounds,
)
from optimizer.gateway.levers.compression.places import Change, TextPlace, changed_chat
from optimizer.gateway.levers.compression.texts.cache import ShortTexts
from optimizer.gateway.levers.compression.texts.forms import (
    SAME,
    TOOL,
    Limits,
    digest_of,
    form_of,
    handle_of,
    reference,
)
from optimizer.gateway.levers.compression.wires.table import REQUEST_WIRES
from providers.chat import Chat, Text, ToolResult
from providers.completion import Completion

Forms = Mapping[str, str]
"""The form of each part of a conversation that is sent in one, by the name of the part."""
_LEAST = 100
"""Characters of the shortest text that could ever be sent in another form."""
_NO_SUCH_TEXT = "There is no text with this id. Ids stand in the first line of a shortened text."


def conversation_of(tenant: str, session: str, sub_agent: str, chat: Chat) -> str:
    """Return the name of a conversation: a digest that all its turns have.

    It is the session's first words of a person, which tell the main conversation of an agent
    from what else it asks in the same session.
    """
    digest = hashlib.blake2b(digest_size=16)
    for text in (tenant, session, sub_agent, *_first_texts(chat)):
        digest.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _first_texts(chat: Chat) -> list[str]:
    for message in chat.messages:
        if message.role == "user":
            texts = [part.text for part in message.parts if isinstance(part, Text)]
            return texts or [p.text for p in message.parts if isinstance(p, ToolResult)]
    return []


class _Parts:
    """Names the parts of one view of a conversation: by their text, and how often it came."""

    def __init__(self, conversation: str) -> None:
        self._key = conversation.encode()
        self._times: Counter[bytes] = Counter()
        self._labels: dict[bytes, str] = {}

    def next(self, place: TextPlace) -> tuple[bytes, str, bool]:
        """Return the digest of a text, the name of the part, and whether it is a copy."""
        digest = digest_of(place.text)
        time = self._times[digest]
        self._times[digest] += 1
        if not time:
            self._labels[digest] = place.label
        name = hashlib.blake2b(digest + time.to_bytes(4), digest_size=16, key=self._key)
        return digest, name.hexdigest(), time > 0

    def first_label(self, digest: bytes) -> str:
        """Return how the first result with a text is named."""
        return self._labels[digest]


@dataclass(slots=True)
class Sending:
    """One conversation as it is sent, by the forms of its parts.

    ``limits.restorable`` is whether the model has the tool. ``originals`` are the texts that it
    can ask for, by their handles.
    """

    conversation: str
    limits: Limits
    texts: ShortTexts
    originals: dict[str, str] = field(default_factory=dict)

    def new_forms(self, chat: Chat, known: Forms, *, all_parts: bool = False) -> dict[str, str]:
        """Return the forms of the parts that no answer follows yet, or of all, as they may be."""
        forms: dict[str, str] = {}
        for walk in _views(chat):
            walk(self._deciding(known, forms, all_parts))
        return forms

    def _deciding(self, known: Forms, forms: dict[str, str], all_parts: bool) -> Change:
        parts = _Parts(self.conversation)

        def decide(place: TextPlace) -> str:
            if len(place.text) < _LEAST:
                return place.text
            _, name, repeated = parts.next(place)
            if (place.new or all_parts) and name not in known and name not in forms:
                form = form_of(place.text, self.limits, exact=place.exact, repeated=repeated)
                if form:
                    forms[name] = form
            return place.text

        return decide

    def written(self, chat: Chat, forms: Forms) -> Chat:
        """Return the chat with its parts in ``forms``.

        With the tool, hidden rounds of earlier answers are put in where they were.
        """
        messages = list(changed_chat(chat, self._writing(forms)))
        source, tools = chat.source, chat.tools
        wire = REQUEST_WIRES.get(source.wire) if source is not None else None
        body: Mapping[str, Any] | None = None
        if source is not None and wire is not None:
            body = wire.changed(source.body, self._writing(forms))
        if self.limits.restorable:
            tools = (*tools, RESTORE)
            if body is not None and wire is not None:
                body = wire.with_tool(body)
            if any(part.startswith(TURN) for part in forms):
                rounds = partial(_rounds, forms)
                messages = with_rounds(messages, rounds, self.original)
                if body is not None and wire is not None:
                    body = wire.with_rounds(body, rounds, self.original)
        sent = replace(
            chat,
            messages=tuple(messages),
            tools=tools,
            source=source if body is None or source is None else replace(source, body=body),
        )
        return sent.as_large() if chat.large else sent

    def _writing(self, forms: Forms) -> Change:
        parts = _Parts(self.conversation)

        def write(place: TextPlace) -> str:
            if len(place.text) < _LEAST:
                return place.text
            digest, name, repeated = parts.next(place)
            if (form := forms.get(name)) is None:
                return place.text
            handle = handle_of(digest) if self.limits.restorable else ""
            if form != SAME:
                sent = self.texts.short(digest, place.text, form, handle)
            elif repeated:
                sent = reference(parts.first_label(digest), handle)
            else:
                sent = None  # the client has left out the one before
            if sent is None:
                return place.text
            self.originals[handle] = place.text
            return sent

        return write

    def original(self, call: HiddenCall) -> str:
        """Return what the gateway answers a call of its tool: the exact original, or what to do."""
        text = self.originals.get(call.wanted)
        # Every later turn must say the same, so it names none of the ids that there are by now.
        return _NO_SUCH_TEXT if text is None else text

    def continued(self, chat: Chat, messages: Any, completion: Completion, calls: Any) -> Chat:
        """Return the chat of the next round, ``messages`` and the body of its own wire."""
        source = chat.source
        wire = REQUEST_WIRES.get(source.wire) if source is not None else None
        if source is not None and wire is not None:
            body = wire.continued(source.body, completion, calls, self.original)
            source = replace(source, body=body)
        following = replace(chat, messages=messages, source=source)
        return following.as_large() if chat.large else following


def can_shorten(chat: Chat) -> bool:
    """Return whether a request can be changed on each wire on which it may go out."""
    source = chat.source
    return chat.n == 1 and (source is None or not source.body or source.wire in REQUEST_WIRES)


def takes_tool(chat: Chat) -> bool:
    """Return whether the gateway's own tool can be added to a conversation."""
    if any(tool.name == TOOL for tool in chat.tools) or not chat.allow_empty:
        return False  # a call alone is an answer without text
    if chat.output is not None and not chat.tools:
        return False  # not every model calls functions where JSON is asked for
    source = chat.source
    if source is None or not source.body:
        return True
    wire = REQUEST_WIRES.get(source.wire)
    return wire is not None and wire.takes_tool(source.body)


def _views(chat: Chat) -> list[Callable[[Change], object]]:
    """Return the two ways in which a conversation may be sent: each walks over its texts."""
    views: list[Callable[[Change], object]] = [partial(changed_chat, chat)]
    source = chat.source
    if source is not None and (wire := REQUEST_WIRES.get(source.wire)) is not None:
        views.append(partial(wire.changed, source.body))
    return views


def _rounds(forms: Forms, name: str) -> tuple[HiddenRound, ...]:
    stored = forms.get(name)
    return of_stored(stored) if stored else ()
