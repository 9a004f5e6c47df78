"""Chooses a member of a pool for one call.

Among members that are ready, capacity bought ahead comes first. A conversation that a prompt cache
may hold goes to the member that its beginning names, by rendezvous hashing with weights: each
worker finds the same one without asking the others, and where a member is missing, only its own
conversations move (https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/
Jason_Resch_New_Consistent_Hashings_Rev.pdf). All other calls follow what the pool prefers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from providers.chat import Chat, Text
from providers.pools.member import Member
from providers.pools.spec import Choice

_CACHED_TOKENS = 1024
"""Providers cache no shorter prompt: https://platform.openai.com/docs/guides/prompt-caching,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching."""
_HASHED_CHARACTERS = 4_000
_MOST_OWED = 20.0
"""Times the weight of all members: what a member may be owed, or have had too much."""
_SPAN = float(1 << 64)


def conversation_of(chat: Chat, tokens: int, caller: str) -> bytes:
    """Return what names the beginning of a chat that a prompt cache may hold, else ``b""``.

    Its turns all have it, whichever worker serves them; another ``caller``'s chat has another.
    """
    if not (chat.cache_session or tokens >= _CACHED_TOKENS or _goes_on(chat)):
        return b""
    digest = hashlib.blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=16)
    for message in chat.messages:
        digest.update(message.role.encode())
        for part in message.parts:
            if isinstance(part, Text):
                text = part.text[:_HASHED_CHARACTERS]
                digest.update(text.encode("utf-8", "surrogatepass"))
        if message.role != "system":
            break  # what follows changes from turn to turn
    return digest.digest()


def _goes_on(chat: Chat) -> bool:
    return any(message.role == "assistant" for message in chat.messages)


def chosen(
    members: Sequence[Member], choose: Choice, model: str, conversation: bytes, now: float
) -> Member:
    """Return the member, one of ``members``, that is to take the call; all of them are ready."""
    ready = [member for member in members if member.spec.committed] or members
    if len(ready) == 1:
        return ready[0]
    if conversation:
        chosen_member = max(ready, key=lambda member: _affinity(member, conversation))
    else:
        chosen_member = _by_preference(ready, choose, model, now)
    _pay(ready, chosen_member)
    return chosen_member


def _affinity(member: Member, conversation: bytes) -> float:
    """Return the weighted rendezvous score: the highest one wins, as often as its weight says."""
    digest = hashlib.blake2b(conversation, digest_size=8, key=member.name.encode()[:64])
    point = (int.from_bytes(digest.digest(), "big") + 0.5) / _SPAN
    return -member.spec.weight / math.log(point)


def _by_preference(ready: Sequence[Member], choose: Choice, model: str, now: float) -> Member:
    total = sum(member.spec.weight for member in ready)

    def turn(member: Member) -> float:
        """Return the place by weights: the least goes first (smooth weighted round robin)."""
        return -(member.owed + member.spec.weight) / total

    if choose == "weights":
        return min(ready, key=turn)
    first: Callable[[Member], float]
    if choose == "least_busy":

        def first(member: Member) -> float:
            return (member.busy + 1) / member.spec.weight
    elif choose == "fastest":
        known = [s for member in ready if (s := member.expected_seconds) is not None]
        best = min(known, default=1.0)

        def first(member: Member) -> float:
            return member.cost_of_waiting(now, best)
    else:

        def first(member: Member) -> float:
            return -round(member.share_left(model, now), 2)

    return min(ready, key=lambda member: (first(member), turn(member)))


def _pay(ready: Sequence[Member], chosen_member: Member) -> None:
    """Owe each member its weight, and take the sum from the one that was chosen.

    Only members that were ready are owed, so that one that comes back is not flooded.
    """
    total = sum(member.spec.weight for member in ready)
    bound = _MOST_OWED * total
    for member in ready:
        member.owed = min(member.owed + member.spec.weight, bound)
    chosen_member.owed = max(chosen_member.owed - total, -bound)
