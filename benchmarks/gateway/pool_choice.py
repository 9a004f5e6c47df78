"""What it costs to choose a member of a pool, in microseconds: no network, on one core.

python -m benchmarks.gateway.pool_choice
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.targets import versions
from providers.chat import Chat, Message, Text
from providers.http.transport import ConnectionSettings, make_client
from providers.openai.client import OpenAIProvider
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.pools.spec import CHOICES, Choice, MemberSpec
from providers.provider_spec import ProviderSpec

_TIMES = 2_000
_ROUNDS = 5
_EU = frozenset({"eu"})
_SHORT = Chat.of_prompt("What is the capital of France?")
_TALK = Chat((
    Message("system", (Text("You are terse. " * 200),)),
    Message("user", (Text("What is the capital of France?"),)),
    Message("assistant", (Text("Paris."),)),
    Message("user", (Text("And of Spain?"),)),
))  # fmt: skip


def pool_of(size: int, choose: Choice, http: Any) -> MemberPool:
    """Return a pool of so many members, of which every second is in the EU."""
    members = []
    for number in range(size):
        spec = MemberSpec(
            f"m{number}", ProviderSpec("openai", "openai"), 1.0 + number % 3,
            _EU if number % 2 else frozenset(),
        )  # fmt: skip
        members.append(Member(spec, OpenAIProvider("openai", http, "http://127.0.0.1:9", "key")))
    return MemberPool("openai", members, choose)


def microseconds(pool: MemberPool, chat: Chat, residency: frozenset[str]) -> float:
    """Return the median of some rounds: a choice, the note of its begin, and that of its end."""
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(_TIMES):
            member = pool.choose("gpt-6-luna", chat, "team:search", residency, (), 900)
            pool.begins(member, "gpt-6-luna", 900)
            pool.answers(member, "gpt-6-luna", 0.0)
            member.busy -= 1
        rounds.append((time.perf_counter() - started) / _TIMES * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Print a table of the times."""
    console = Console()
    console.print(f"[bold]Choosing a member[/bold], microseconds, {versions()}")
    table = Table("members", *CHOICES, "conversation", "within the EU")
    http = make_client(ConnectionSettings())
    for size in (2, 8, 32):
        times = [microseconds(pool_of(size, c, http), _SHORT, frozenset()) for c in CHOICES]
        pool = pool_of(size, "weights", http)
        times.append(microseconds(pool, _TALK, frozenset()))
        times.append(microseconds(pool, _SHORT, _EU))
        table.add_row(str(size), *(f"{one:.1f}" for one in times))
    console.print(table)


if __name__ == "__main__":
    main()
