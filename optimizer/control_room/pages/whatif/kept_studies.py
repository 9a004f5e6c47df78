"""Studies of policies that are under way or done, kept for a while in the cache of all workers.

Each request of the page's script decides as many past requests as a page may take time for. A
question that was asked a moment ago is answered by what is kept of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

from optimizer.lab.whatif.study import WhatIfStudy

logger = logging.getLogger(__name__)
_SECONDS = 300
"""How long an answer is kept: prices and what was learned hardly change so fast."""
_AWAY = (RedisError, OSError)


def study_key(*asked: Any) -> str:
    """Return the key of a question: all that its answer depends on."""
    return f"whatif:{sha256(repr(_in_order(asked)).encode()).hexdigest()}"


def _in_order(value: Any) -> Any:
    """Return a value whose text is the same in each process: sets have no order."""
    if is_dataclass(value):
        return [_in_order(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_in_order(one)) for one in value)
    return [_in_order(one) for one in value] if isinstance(value, (list, tuple)) else value


def kept_study(key: str, begin: Callable[[], WhatIfStudy]) -> WhatIfStudy:
    """Return the study that was kept, or else a new one."""
    try:
        kept: WhatIfStudy | None = cache.get(key)
    except _AWAY as error:
        logger.warning("The cache could not be read: %s", type(error).__name__)
        kept = None
    return begin() if kept is None else kept


def study_keep(key: str, study: WhatIfStudy) -> bool:
    """Keep the study for a while; return whether it could be kept."""
    try:
        cache.set(key, study, _SECONDS)
    except _AWAY as error:
        logger.warning("The cache could not be written: %s", type(error).__name__)
        return False
    return True
