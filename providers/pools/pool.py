"""A pool of members that serve the models of one provider, and what it learns of each.

The state is in this process, so that a call needs no network. Code that shares it with other
workers sets :attr:`MemberPool.on_change` and :attr:`MemberPool.places`, and passes on what others
found with :meth:`MemberPool.spare` and :meth:`MemberPool.freed`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from providers.chat import Chat
from providers.cooldowns import Cooldowns
from providers.errors import (
    MembersBusy,
    ModelNotFound,
    OutsideResidency,
    ProviderError,
    RateLimited,
)
from providers.pools.choosing import chosen, conversation_of
from providers.pools.faults import another_may_answer, fault_of
from providers.pools.member import Member, MemberState
from providers.pools.places import Places, WaitingCalls
from providers.pools.rate_headers import limits_left
from providers.pools.spec import Choice
from providers.residency import NO_RESIDENCY, residency_features

logger = logging.getLogger(__name__)

_ONCE_MORE = 2.0
"""Seconds for which a member is spared that fails again after another worker found it failing."""
_PROBE_SECONDS = 10.0
_FULL_SECONDS = 1.0
"""Seconds for which a member gets no call while other workers have its places: a look at Redis for
each call would be in vain. It ends at once when they free one."""


class MemberPool:
    """The members of one provider. ``clock`` returns seconds.

    ``on_change`` is called with a member's name, a model ("" for all) and the seconds for which
    it is spared, 0 if it answers again.
    """

    def __init__(
        self,
        provider: str,
        members: Sequence[Member],
        choose: Choice = "weights",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self.members = tuple(members)
        self.on_change: Callable[[str, str, float], None] = lambda member, model, seconds: None
        self.clock = clock
        self.choice: Choice = choose
        self.places: Places | None = None
        """Counts the calls of members with ``most_at_once`` over all workers.

        If it is ``None``, this worker counts its own calls alone.
        """
        self._cooldowns = Cooldowns(clock)
        self._waiting = WaitingCalls()

    def listen(self) -> None:
        """Take what the answers of the members say of their rate limits from now on."""
        for member in self.members:
            member.client.on_headers = partial(self._note_headers, member)

    def _note_headers(self, member: Member, model: str, headers: Mapping[str, str]) -> None:
        limits = limits_left(headers)
        if limits is not None:
            member.note_limits(model, limits, self.clock())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider}: {len(self.members)} members>"

    def choose(
        self,
        model: str,
        chat: Chat | None,
        caller: str,
        residency: frozenset[str],
        tried: Collection[str] = (),
        tokens: int = 0,
    ) -> Member:
        """Return the member that is to take a call of ``caller``, not one of ``tried`` if possible.

        ``tokens`` are the estimated ones of its input. Where no member is ready, it is the one that
        is spared for the shortest time. Raises :class:`providers.errors.OutsideResidency` if none
        has the model within all regions of ``residency``, and
        :class:`providers.errors.MembersBusy` if all have as many calls in progress as they may.
        """
        able = [member for member in self.members if member.serves(model, residency)]
        if not able:
            raise self._unable(model, residency)
        fresh = [member for member in able if member.name not in tried] or able
        now = self.clock()
        well = fresh
        if self._cooldowns.models:
            well = [member for member in fresh if self._is_well(member, model, now)]
        ready = [member for member in well if member.has_room(model, tokens, now)]
        free = ready or [member for member in well or fresh if member.has_place(now)]
        if not free:
            raise MembersBusy.of(self.provider)
        conversation = b"" if chat is None else conversation_of(chat, tokens, caller)
        if well:
            return chosen(free, self.choice, model, conversation, now)
        return min(free, key=lambda member: (self.spared_for(member, model), member.failed))

    async def take(
        self,
        model: str,
        chat: Chat | None,
        caller: str,
        residency: frozenset[str],
        tried: Collection[str] = (),
        tokens: int = 0,
        *,
        wait: float = 0.0,
    ) -> Member:
        """Return the member that :meth:`choose` names once its call has begun.

        Where none has a place, it waits ``wait`` seconds for one. Raises what :meth:`choose` does.
        """

        def begun() -> Member:
            member = self.choose(model, chat, caller, residency, tried, tokens)
            self.begins(member, model, tokens)
            return member

        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            member = await self._waiting.take(
                begun, wait, lambda member: self._undo(member, model, tokens)
            )
            most = member.spec.most_at_once
            if self.places is None or most is None:
                return member
            try:
                has_place = await self.places.take(member.name, most)
            except BaseException:
                self._undo(member, model, tokens)
                raise
            if has_place:
                return member
            member.full_until = self.clock() + _FULL_SECONDS
            self._undo(member, model, tokens)
            wait = max(0.0, until - loop.time())

    def _undo(self, member: Member, model: str, tokens: int) -> None:
        """End a call that has begun here, and has no place among those of all workers."""
        member.give_back(model, tokens)
        self._waiting.hand_on()

    def give_back(self, member: Member, model: str, tokens: int) -> None:
        """End a call that has begun here and was not made."""
        member.give_back(model, tokens)
        self._free(member)

    def end(self, member: Member) -> None:
        """End a call that was made."""
        member.busy -= 1
        self._free(member)

    def _free(self, member: Member) -> None:
        if self.places is not None and member.spec.most_at_once is not None:
            self.places.free(member.name)
        else:
            self._waiting.hand_on()

    def freed(self, name: str) -> None:
        """Give a place that a worker freed to a call that waits here."""
        for member in self.members:
            if member.name == name:
                member.full_until = 0.0
        self._waiting.hand_on()

    def has_another(
        self, model: str, residency: frozenset[str], tried: Collection[str], error: ProviderError
    ) -> bool:
        """Return whether a member that was not tried may answer where one failed so."""
        return another_may_answer(error) and any(
            m.name not in tried and m.serves(model, residency) for m in self.members
        )

    def answers(self, member: Member, model: str, began: float) -> None:
        """Forget what a member was spared for before the call that it answers ``began``."""
        member.answered += 1
        member.probing_until = 0.0
        if not self._cooldowns.models:
            return
        for name in ("", model):
            cooldown = self._cooldowns.models.get((member.name, name))
            if cooldown is not None and cooldown.received <= began:
                self._cooldowns.answered(member.name, name)
                self.on_change(member.name, name, 0.0)

    def fails(self, member: Member, model: str, began: float, error: ProviderError) -> None:
        """Spare a member for what its error says of its key, of one model, or of itself."""
        member.failed += 1
        member.last_error = error.message
        member.probing_until = 0.0
        fault = fault_of(error)
        if fault is None:
            return
        name, seconds = model if fault.of_the_model else "", fault.seconds
        known = self._cooldowns.models.get((member.name, name))
        if seconds is None and known is not None and known.received > began:
            return  # the calls that were in progress then say the same once more
        if seconds is None and known is not None and not known.guess:
            seconds = _ONCE_MORE  # another worker began to count
        self._cooldowns.limited(member.name, name, seconds)
        spared = self._cooldowns.remaining(member.name, name)
        self.on_change(member.name, name, spared)
        limited = isinstance(error, RateLimited)
        logger.log(
            logging.INFO if limited else logging.WARNING,
            "Member %s of the pool %s is spared for %.0f s: it %s",
            member.name, self.provider, spared, error.message,
        )  # fmt: skip

    def spare(self, name: str, model: str, seconds: float) -> None:
        """Take over what another worker found: how long a member is spared, 0 if it answers."""
        if all(member.name != name for member in self.members):
            return
        if seconds > 0:
            self._cooldowns.limited(name, model, min(seconds, 24 * 3600.0))
        else:
            self._cooldowns.answered(name, model)

    def spared_for(self, member: Member, model: str = "") -> float:
        """Return the seconds for which a member is not called, 0 if it is."""
        remaining = self._cooldowns.remaining
        return max(remaining(member.name, ""), remaining(member.name, model))

    def shortest_wait(self, model: str, residency: frozenset[str]) -> float:
        """Return the seconds until the first member that may serve the model is called again."""
        waits = [self.spared_for(m, model) for m in self.members if m.serves(model, residency)]
        return min(waits, default=0.0)

    def residencies(self, model: str) -> frozenset[str]:
        """Return the features of the regions within which a member serves the model."""
        able = (member for member in self.members if member.serves(model, NO_RESIDENCY))
        return frozenset().union(*(residency_features(member.spec.regions) for member in able))

    def states(self) -> list[MemberState]:
        """Return the members as they are now."""
        now, spared = self.clock(), self._cooldowns.all()
        total = sum(member.answered for member in self.members)
        return [
            member.state(
                now,
                share=member.answered / total if total else 0.0,
                spared={
                    model: left for (name, model), left in spared.items() if name == member.name
                },
            )
            for member in self.members
        ]

    def _is_well(self, member: Member, model: str, now: float) -> bool:
        """Return whether a member is not spared; one that was gets one call first, as a probe."""
        known = self._cooldowns.models
        if self.spared_for(member, model):
            return False
        if (member.name, "") not in known and (member.name, model) not in known:
            return True
        return now >= member.probing_until

    def begins(self, member: Member, model: str, tokens: int) -> None:
        """Note that a call of a member begins; the first one after it was spared is a probe."""
        member.begin(model, tokens)
        known = self._cooldowns.models
        if known and ((member.name, "") in known or (member.name, model) in known):
            member.probing_until = self.clock() + _PROBE_SECONDS

    def _unable(self, model: str, residency: frozenset[str]) -> ProviderError:
        if residency:
            return OutsideResidency.of(self.provider, residency)
        return ModelNotFound(self.provider, "has no member that serves this model")
