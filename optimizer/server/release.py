"""Gives the memory of a large request back in small steps.

The values of a body of many megabytes are freed in one go when the last of them that holds the
others is, and nothing else runs meanwhile, on no thread.
"""

from __future__ import annotations

import gc
from typing import Any

from providers import chat

_STEP = 1_000
_TYPES = frozenset(
    {dict, list, tuple, *(value for value in vars(chat).values()
                          if isinstance(value, type) and value.__module__ == chat.__name__)}
)  # fmt: skip


def release(roots: list[Any]) -> None:
    """Empty ``roots``, and let go of what they hold level by level. Call this on a thread.

    Nothing else is changed: what others hold too is freed when they let go of it.
    """
    levels: list[list[Any]] = []
    level = [root for root in roots if type(root) in _TYPES]
    roots.clear()
    seen = set(map(id, level))
    while level:
        levels.append(level)
        below: list[Any] = []
        for start in range(0, len(level), _STEP):
            held = gc.get_referents(*level[start : start + _STEP])
            for value in held:
                if type(value) in _TYPES and id(value) not in seen:
                    seen.add(id(value))
                    below.append(value)
            held.clear()
        level = below
    del level, seen
    # From the top, so that what goes holds nothing alone but texts and numbers.
    for kept in levels:
        while kept:
            del kept[-_STEP:]
