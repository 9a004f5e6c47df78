"""Pools over local fakes: a member a key, each key with a server of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from providers.catalogue import ProviderSpec
from providers.chat import Chat
from providers.completion import Completion
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIProvider
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.pools.spec import Choice, MemberSpec
from providers.resilience import Attempt, ResiliencePolicy, ResilientCaller

NOWHERE = "http://127.0.0.1:9"
MODEL = "m"


def member(
    name: str,
    http: HttpClient | None = None,
    url: str = NOWHERE,
    *,
    weight: float = 1.0,
    regions: Sequence[str] = (),
    committed: bool = False,
    most_at_once: int | None = None,
    models: frozenset[str] | None = None,
) -> Member:
    """A member whose key is its name."""
    spec = MemberSpec(
        name, ProviderSpec("openai", "openai"), weight, frozenset(regions), committed,
        most_at_once, models,
    )  # fmt: skip
    client = OpenAIProvider("openai", http, url, f"key-of-{name}")  # type: ignore[arg-type]
    return Member(spec, client)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pool_of(
    *members: Member, choose: Choice = "weights", clock: Callable[[], float] | None = None
) -> MemberPool:
    """A pool of the provider openai."""
    pool = MemberPool("openai", members, choose, clock or Clock())
    pool.listen()
    return pool


def caller_of(pool: MemberPool) -> ResilientCaller:
    """What calls the pool as the service does."""
    return ResilientCaller(
        {"openai": pool.members[0].client}, ResiliencePolicy(), pools={"openai": pool}
    )


async def ask(
    caller: ResilientCaller, chat: Chat, attempts: list[Attempt] | None = None
) -> Completion:
    """Return the answer of the pool's model."""
    return await caller.call([("openai", MODEL)], chat, [] if attempts is None else attempts)
