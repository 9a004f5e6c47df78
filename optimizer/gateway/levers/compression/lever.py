"""The lever ``compression``: sends long results of tools shortened.

A conversation is shortened from its beginning or not at all, but for what the model cannot miss:
the gateway's own tool stands before all messages, so adding it later would change what a
provider has in its cache. From its first request on, each turn sends the same bytes for what
was sent before, also if the lever is switched off in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from analytics.shortened import MOST_PARTS
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.domain.turns import KEEP_ALIVE, SIDE_KINDS
from optimizer.gateway.levers.compression.memory import ConversationMemory
from optimizer.gateway.levers.compression.restoring import RestoringCaller
from optimizer.gateway.levers.compression.sending import (
    Forms,
    Sending,
    can_shorten,
    conversation_of,
    takes_tool,
)
from optimizer.gateway.levers.compression.texts.cache import ShortTexts
from optimizer.gateway.levers.compression.texts.forms import Limits
from optimizer.gateway.levers.plans import with_trial
from optimizer.policies.levers import ActiveLevers
from providers import features
from providers.chat import Chat, Text, ToolResult
from providers.resilience import Caller
from routing.models import RoutingDecision

NAME = "compression"
MIN_TOKENS, LEAST_MIN, LARGEST_MIN = 1000, 100, 1_000_000
"""Tokens of the smallest text that is shortened; the option ``min_tokens``, within these bounds."""
_LONG_NEWS = 32_768
"""Characters that are decided about on a thread."""
_BEGUN = "begun.1"
_ITSELF = ""
"""The part that stands for the conversation itself."""


class Begun(NamedTuple):
    """How a conversation began: the limits of its texts, and whether it was in the control."""

    limits: Limits
    control: bool

    def stored(self) -> str:
        """Return it as it is stored."""
        tool = "tool" if self.limits.restorable else "plain"
        arm = "control" if self.control else "treated"
        return f"{_BEGUN}:{self.limits.min_tokens}:{tool}:{arm}"


def begun_of(stored: str | None) -> Begun | None:
    """Return what :meth:`Begun.stored` wrote, ``None`` if a release wrote it that knows more."""
    version, *rest = (stored or "").split(":")
    if version != _BEGUN or len(rest) != 3 or not rest[0].isdigit():
        return None
    return Begun(Limits(int(rest[0]), rest[1] == "tool"), rest[2] == "control")


class CompressionLever:
    """Shortens requests, and remembers how each conversation was sent.

    ``features_of`` returns the features of a (provider, model).
    """

    name = NAME

    def __init__(
        self,
        active: ActiveLevers,
        memory: ConversationMemory,
        features_of: Callable[[str, str], frozenset[str]],
    ) -> None:
        self._active = active
        self._memory = memory
        self._features_of = features_of
        self._texts = ShortTexts()

    @property
    def concerns_requests(self) -> bool:
        """Return whether requests must ask: it is in use, or conversations go on that were."""
        return self._memory.any

    async def prepare(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision
    ) -> AnalyzedRequest:
        """Return the request as it is to be sent to the chosen model, with its trial."""
        request, used = analyzed.request, self._active.mode(NAME) != "off"
        chat = request.chat
        if request.restoring is not None or request.turn == KEEP_ALIVE or not can_shorten(chat):
            return analyzed
        if request.deferred is not None:
            return analyzed  # in a batch, nobody answers what the model asks for
        goes_on = any(message.role == "assistant" for message in chat.messages)
        if not used and not (goes_on and self._memory.any):
            return analyzed
        session = request.session
        conversation = conversation_of(request.client.tenant, session.id, session.sub_agent, chat)
        known: Forms = await self._memory.find(conversation) if goes_on else {}
        begun = begun_of(known.get(_ITSELF))
        if begun is None and not used:
            return analyzed
        if begun is not None and begun.limits.restorable and not self._has_tools(chat, decision):
            return analyzed
        if begun is None:
            restorable = not goes_on and takes_tool(chat) and self._has_tools(chat, decision)
            begun = Begun(Limits(self._min_tokens(), restorable), control=False)
        sending = Sending(conversation, begun.limits, self._texts)
        work = _Work(sending, chat, known, begun, used)
        if chat.large or _has_long_news(chat):
            await asyncio.to_thread(work.decide)
        else:
            work.decide()
        return await self._sent(analyzed, decision, work)

    async def _sent(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, work: _Work
    ) -> AnalyzedRequest:
        request = analyzed.request
        trial = self._trial(analyzed, decision, work)
        if trial is not None:
            analyzed = with_trial(analyzed, trial)
            await self._store(work, trial)
        if _ITSELF not in work.known or work.is_control:
            return analyzed
        if request.chat.large:
            chat = await asyncio.to_thread(work.written)
        else:
            chat = work.written()
        restoring = None
        if work.sending.limits.restorable:
            restoring = self._restoring(work, request.chat)
        changed = replace(analyzed.request, chat=chat, asked=request.as_asked, restoring=restoring)
        return replace(analyzed, request=changed)

    def _trial(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, work: _Work
    ) -> LeverTrial | None:
        """Return the trial, ``None`` for a request that the lever would not change.

        A conversation stays as it began. If the lever's settings would have it in the other arm
        by now, it says nothing of the lever any more.
        """
        request = analyzed.request
        begun = _ITSELF in work.known
        if not work.acts or (request.turn in SIDE_KINDS and not begun):
            return None
        tokens = analyzed.analysis.token_count
        detail = {"tokens_before": tokens, "tokens_after": max(tokens - work.saved, 0)}
        trial = self._active.draw(NAME, request, expected=_expected(decision), detail=detail)
        if trial is not None and begun and trial.treated == work.is_control:
            return None
        return trial

    async def _store(self, work: _Work, trial: LeverTrial) -> None:
        """Store how new parts are sent, and how the conversation begins."""
        new = work.new if trial.treated else {}
        if _ITSELF not in work.known:
            new = {**new, _ITSELF: Begun(work.begun.limits, control=not trial.treated).stored()}
        if new:
            work.add(await self._memory.keep(work.sending.conversation, new))

    def _restoring(self, work: _Work, asked: Chat) -> Callable[[Caller], Caller]:
        async def keep(rounds: Mapping[str, str]) -> None:
            await self._memory.keep(work.sending.conversation, rounds)

        def caller(around: Caller) -> Caller:
            return RestoringCaller(around, work.sending, asked, keep)

        return caller

    def _has_tools(self, chat: Chat, decision: RoutingDecision) -> bool:
        """Return whether every model that may answer calls tools."""
        if chat.tools:
            return True  # then it was chosen for them
        models = [(decision.provider, decision.model)]
        models += [(m["provider"], m["model"]) for m in decision.metadata["fallback_chain"]]
        return all(features.TOOLS in self._features_of(*model) for model in models)

    def _min_tokens(self) -> int:
        value: Any = self._active.options(NAME).get("min_tokens", MIN_TOKENS)
        usable = isinstance(value, int) and not isinstance(value, bool)
        return min(max(value, LEAST_MIN), LARGEST_MIN) if usable else MIN_TOKENS


class _Work:
    """What is decided about one request."""

    def __init__(
        self, sending: Sending, chat: Chat, known: Forms, begun: Begun, used: bool
    ) -> None:
        self.sending = sending
        self.chat = chat
        self.known = known
        self.begun = begun
        self.new: dict[str, str] = {}
        self.saved = 0
        self._used = used
        self._made: tuple[Forms, Chat | None] = {}, None

    @property
    def is_control(self) -> bool:
        """Return whether nothing of the conversation is changed, for comparison."""
        begun = begun_of(self.known.get(_ITSELF))
        return begun is None or begun.control

    @property
    def acts(self) -> bool:
        """Return whether the lever would change the request: the same in both arms."""
        if _ITSELF in self.known or self.new:
            return True
        return self.begun.limits.restorable and bool(self.chat.tools)

    def decide(self) -> None:
        """Find the forms of new parts, and what all of it saves."""
        if not self._used:
            return
        # What the control would have been sent before counts as if it had been.
        everything = _ITSELF in self.known and self.is_control
        if len(self.known) < MOST_PARTS:
            self.new = self.sending.new_forms(self.chat, self.known, all_parts=everything)
        if self.acts:
            forms = {**self.known, **self.new}
            chat = self.sending.written(self.chat, forms)
            self.saved = self.chat.estimated_tokens() - chat.estimated_tokens()
            self._made = forms, chat

    def add(self, stored: Forms) -> None:
        """Add what is stored: another worker may have stored something else before."""
        self.known = {**self.known, **stored}
        begun = begun_of(self.known.get(_ITSELF))
        if begun is not None and begun.limits != self.sending.limits:
            self.sending.limits = begun.limits
            self._made = {}, None

    def written(self) -> Chat:
        """Return the chat as it is sent."""
        forms, chat = self._made
        if chat is not None and all(self.known.get(part) == forms[part] for part in forms):
            return chat
        self.sending.originals.clear()
        return self.sending.written(self.chat, self.known)


def _has_long_news(chat: Chat) -> bool:
    """Return whether the newest texts take so long that the event loop serves others meanwhile."""
    results = (part for part in chat.messages[-1].parts if isinstance(part, (Text, ToolResult)))
    return sum(len(result.text) for result in results) > _LONG_NEWS


def _expected(decision: RoutingDecision) -> Decimal | None:
    """Return what the request was expected to cost without the lever."""
    estimate = decision.metadata.get("cost_estimate")
    return None if estimate is None else Decimal(str(estimate))
