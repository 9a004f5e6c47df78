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

from optimizer import __version__
from optimizer.lab.whatif.estimator import WhatIf
from optimizer.lab.whatif.study import WhatIfStudy

logger = logging.getLogger(__name__)
_SECONDS = 300
"""How long an answer is kept: prices and what was learned hardly change so fast."""


def study_key(*asked: Any) -> str:
    """Return the key of a question: all that its answer depends on."""
    # Another version of the service may not read what this one writes.
    text = repr(_in_order((__version__, *asked)))
    return f"whatif:{sha256(text.encode()).hexdigest()}"


def _in_order(value: Any) -> Any:
    """Return a value whose text is the same in each process: sets have no order."""
    if is_dataclass(value):
        return [_in_order(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_in_order(one)) for one in value)
    return [_in_order(one) for one in value] if isinstance(value, (list, tuple)) else value


def study_go_on(
    what_if: WhatIf,
    key: Callable[[Any], str],
    rules: Any,
    begin: Callable[[], WhatIfStudy],
    seconds: float | None,
) -> WhatIfStudy:
    """Return the kept study, or else a new one, after deciding for so many ``seconds``.

    ``key`` returns the key of the question under rules, ``rules`` are those that this process
    knows. All is decided if ``seconds`` is ``None``, or if the study cannot be kept.
    """
    study = _kept(key(rules)) or begin()
    if study.done:
        return study
    what_if.go_on(study, seconds)
    # A study that begins reads the rules, which may have changed since this process did.
    if not _keep(key(study.rules), study):
        what_if.go_on(study)
    return study


def _kept(key: str) -> WhatIfStudy | None:
    try:
        study: WhatIfStudy | None = cache.get(key)
    except Exception as error:  # noqa: BLE001 - each kind of cache has errors of its own
        logger.warning("The cache could not be read: %s", type(error).__name__)
        return None
    return study


def _keep(key: str, study: WhatIfStudy) -> bool:
    """Keep the study for a while; return whether it could be kept."""
    try:
        cache.set(key, study, _SECONDS)
    except Exception as error:  # noqa: BLE001 - each kind of cache has errors of its own
        logger.warning("The cache could not be written: %s", type(error).__name__)
        return False
    return True
