"""The rail that takes personal data out of what is sent, and puts it back into the answer.

Each value becomes a placeholder of its kind and number, such as ``<EMAIL_ADDRESS_1>``. Numbers go
by the order of appearance, so a conversation that goes on is sent with the same placeholders, and
the provider's prompt cache finds it. The values stay in this process, as long as the call takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Mapping
from threading import Lock
from typing import Any

from analytics.privacy.masking import Find, PersonalDatum
from optimizer.gateway.guardrails.body_texts import changed_body, changed_chat
from optimizer.gateway.guardrails.rails import RailFinding
from optimizer.gateway.guardrails.restoring import restored_completion, restored_events
from providers.chat import Chat
from providers.completion import Completion
from providers.events import Event

_REMEMBERED = 4_096
_LONGEST_REMEMBERED = 20_000
"""Characters: the turns of conversations come again and again."""
_KIND = re.compile(r"[^A-Z0-9_]")


class PersonalDataRail:
    """Masks what ``find`` finds in a text. With ``restores``, answers get the values back.

    ``finder`` is the name of ``find``.
    """

    name = "personal_data"
    checks_output = False
    holds_streams = False
    spares: frozenset[str] = frozenset()

    def __init__(
        self, find: Find, *, restores: bool = True, fails_open: bool = False, finder: str = ""
    ) -> None:
        self.fails_open = fails_open
        self.fingerprint = f"{finder} {'restored' if restores else 'placeholders'}"
        self._restores = restores
        self._find = find
        self._salt = secrets.token_bytes(16)
        self._known: OrderedDict[bytes, tuple[PersonalDatum, ...]] = OrderedDict()
        self._lock = Lock()

    def begin(self) -> PersonalDataCall:
        """Return the rail at work for one call."""
        return PersonalDataCall(self.data_in, restores=self._restores)

    def puts_back(self, text: str) -> bool:
        """Return whether the answer to ``text`` gets values back that are in it."""
        return self._restores and bool(text and self.data_in(text))

    def data_in(self, text: str) -> tuple[PersonalDatum, ...]:
        """Return the personal data in ``text``, in its order; safe for several threads."""
        if len(text) > _LONGEST_REMEMBERED:
            return self._find(text)
        # Places are remembered by a digest, so that no prompt stays in memory.
        data = text.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, digest_size=16, key=self._salt).digest()
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        places = self._find(text)
        with self._lock:
            self._known[digest] = places
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return places


class PersonalDataCall:
    """The masking of one call: the placeholders, and the values that they stand for."""

    def __init__(self, find: Find, *, restores: bool) -> None:
        self._find = find
        self._restores = restores
        self._placeholders: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._values: dict[str, str] = {}

    async def check_input(self, chat: Chat) -> tuple[Chat, RailFinding]:
        """Return the chat without personal data, and how much of which kind it had."""
        # The recognizers take milliseconds a page, in which the event loop serves others.
        masked = await asyncio.to_thread(changed_chat, chat, self._masked, self._hidden)
        return masked, self._finding()

    async def check_body(
        self, body: Mapping[str, Any], residency: frozenset[str]
    ) -> tuple[Mapping[str, Any], RailFinding]:
        """Return a request that is no chat without personal data."""
        masked = await asyncio.to_thread(changed_body, body, self._masked)
        return masked, self._finding()

    async def check_output(self, answer: Completion, chat: Chat) -> RailFinding | None:
        """Return ``None``: answers are not checked."""
        return None

    def given(self, answer: Completion) -> Completion:
        """Return an answer with the values in place of their placeholders."""
        if not self._values or not self._restores:
            return answer
        return restored_completion(answer, self._values)

    def given_events(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Return the events with the values in place of their placeholders."""
        if not self._values or not self._restores:
            return events
        return restored_events(events, self._values)

    def _hidden(self, text: str) -> str:
        """Mask what no model reads: its values are in no answer, which others may get."""
        return self._masked(text, read=False)

    def _masked(self, text: str, *, read: bool = True) -> str:
        data = self._find(text) if text else ()
        if not data:
            return text
        pieces, end = [], 0
        for datum in data:
            pieces += [text[end : datum.start], self._placeholder(datum, text, read)]
            end = datum.end
        return "".join([*pieces, text[end:]])

    def _placeholder(self, datum: PersonalDatum, text: str, read: bool) -> str:
        kind = _KIND.sub("_", datum.kind.upper())[:32]
        value = text[datum.start : datum.end]
        placeholder = self._placeholders.get((kind, value))
        if placeholder is None:
            self._numbers[kind] += 1
            placeholder = self._placeholders[kind, value] = f"<{kind}_{self._numbers[kind]}>"
        if read:
            self._values[placeholder] = value
        return placeholder

    def _finding(self) -> RailFinding:
        if not self._numbers:
            return RailFinding()
        detail = ", ".join(f"{count} {kind}" for kind, count in sorted(self._numbers.items()))
        return RailFinding("changed", detail)
