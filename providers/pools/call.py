"""One call of a member: what is measured of it, and what its answer is marked with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from providers.completion import Completion
from providers.embedding import Embeddings
from providers.errors import ProviderError
from providers.events import Event, UsageReported
from providers.fallback import FallbackState
from providers.opened_stream import OpenStream
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.pools.rate_headers import limits_left
from providers.specialised.requests import SpecialisedAnswer, SpecialisedStream
from providers.values import changed

Made = TypeVar("Made")


class PooledCall:
    """One call of a pool's member. It ends once: by an answer, its stream's end, or an error.

    It has a place of the member from the beginning; :meth:`leave` gives back that of a call that
    is not made.

    ``tokens`` are those of its input. ``learns`` is whether an error says something of the member.
    """

    __slots__ = ("_began", "_ended", "_learns", "_made", "_model", "_pool", "_tokens", "member")

    def __init__(
        self, pool: MemberPool, member: Member, model: str, tokens: int = 0, *, learns: bool = True
    ) -> None:
        self.member = member
        self._pool = pool
        self._model = model
        self._tokens = tokens
        self._learns = learns
        self._began = 0.0
        self._made = self._ended = False

    @classmethod
    async def of(cls, pool: MemberPool, state: FallbackState) -> PooledCall:
        """Return the call of the member that is to be called for a request.

        If all have as many as they may, it waits where no other provider may answer. Raises
        :class:`providers.errors.OutsideResidency` and :class:`providers.errors.MembersBusy`.
        """
        summary, model = state.summary, state.current[1]
        chat = summary.chat
        tokens = chat.estimated_tokens() if chat is not None else 0
        state.pool, state.member = pool, None
        state.member = await pool.take(
            model, chat, summary.caller, summary.residency, state.tried, tokens,
            wait=state.place_wait,
        )  # fmt: skip
        # That another service tier has no capacity says nothing of the member.
        return cls(pool, state.member, model, tokens, learns=not state.service_tier)

    async def answer(self, call: Awaitable[Made]) -> Made:
        """Return what ``call`` of the member delivers. Raises :class:`ProviderError`."""
        self._began, self._made = self._pool.clock(), True
        try:
            made = await call
        except ProviderError as error:
            self._fail(error)
            raise
        except BaseException:
            self._end()
            raise
        return self._answered(made)

    def _answered(self, made: Made) -> Made:
        """Return what the member delivered, marked as its answer.

        A stream ends the call later. That of a specialised model has no content yet.
        """
        opened = self._pool.clock() - self._began
        if not isinstance(made, SpecialisedStream):
            self._pool.answers(self.member, self._model, self._began)
        if isinstance(made, OpenStream):
            self.member.opening.add(opened, self._pool.clock())
            made.member = self.member.name
            made.events = _FollowedStream(self, made.events, self._pool.clock)
            return made
        if isinstance(made, Completion):
            self._measure(opened, made.usage.output_tokens)
        if isinstance(made, SpecialisedStream):
            read, priced, close = made.usage, self.member.priced, made.close

            async def close_and_end() -> None:
                self._end()
                await close()

            return changed(
                made,
                member=self.member.name,
                usage=lambda: priced(read()),
                pieces=self._until_read(made.pieces),
                close=close_and_end,
            )
        self._end()
        if isinstance(made, (Completion, Embeddings, SpecialisedAnswer)):
            usage = self.member.priced(made.usage)
            return changed(made, member=self.member.name, usage=usage)
        return made

    async def _until_read(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield the pieces, and end the call behind the last one: the first one is an answer."""
        answered = False
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if not answered:
                        answered = True
                        self._pool.answers(self.member, self._model, self._began)
                    yield piece
            if not answered:
                self._pool.answers(self.member, self._model, self._began)
        except ProviderError as error:
            self.break_off(error)
            raise
        finally:
            self._end()

    def _fail(self, error: ProviderError) -> None:
        """End the call by the member's error."""
        self._note_limits(error.headers)
        if error.usage is not None:
            error.usage = self.member.priced(error.usage)
        if self._learns:
            self._pool.fails(self.member, self._model, self._began, error)
        self._end()

    def leave(self) -> None:
        """Give the place back if the call was not made."""
        if not self._made and not self._ended:
            self._ended = True
            self._pool.give_back(self.member, self._model, self._tokens)

    def _end(self) -> None:
        """End the call."""
        if not self._ended:
            self._ended = True
            self._pool.end(self.member)

    def _measure(self, seconds: float, tokens: int) -> None:
        """Share the time of a whole answer between its beginning and its tokens."""
        now, member = self._pool.clock(), self.member
        opening = member.opening.value if member.opening.at else seconds
        if tokens > 0 and seconds > opening:
            member.per_token.add((seconds - opening) / tokens, now)
        member.opening.add(min(seconds, opening) if tokens > 1 else seconds, now)

    def end_stream(self, seconds: float, tokens: int) -> None:
        """End the call with its stream, which had so many tokens after its first content."""
        if tokens > 1:
            self.member.per_token.add(seconds / tokens, self._pool.clock())
        self._end()

    def break_off(self, error: ProviderError | None) -> None:
        """End the call before its stream has ended, by the member's error if there is one."""
        if error is not None and self._learns:
            self._pool.fails(self.member, self._model, self._began, error)
        self._end()

    def _note_limits(self, headers: Mapping[str, str]) -> None:
        limits = limits_left(headers) if headers else None
        if limits is not None:
            self.member.note_limits(self._model, limits, self._pool.clock())


class _FollowedStream(AsyncGenerator[Event, None]):
    """The events of a member's stream; its call ends with them, also if nothing is read of them."""

    def __init__(
        self,
        call: PooledCall,
        events: AsyncGenerator[Event, None],
        clock: Callable[[], float],
    ) -> None:
        self._call = call
        self._events = events
        self._clock = clock
        self._opened = clock()
        self._tokens = 0

    async def asend(self, value: None) -> Event:
        """Return the next event."""
        try:
            event = await self._events.asend(value)
        except StopAsyncIteration:
            self._call.end_stream(self._clock() - self._opened, self._tokens)
            raise
        except ProviderError as error:
            self._call.break_off(error)
            raise
        except BaseException:
            self._call.break_off(None)
            raise
        if isinstance(event, UsageReported):
            self._tokens = event.usage.output_tokens
            return UsageReported(self._call.member.priced(event.usage))
        return event

    async def athrow(self, *error: Any) -> Event:
        """Raise an error within the stream."""
        self._call.break_off(None)
        return await self._events.athrow(*error)

    async def aclose(self) -> None:
        """End the call to the provider."""
        self._call.break_off(None)
        await self._events.aclose()
