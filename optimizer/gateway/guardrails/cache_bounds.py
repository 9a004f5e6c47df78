"""Keeps cached answers within the guard rails that they have passed, and within one person's data.

An exact hit has the same texts as the request that was answered, so the values in its answer are
the client's own. A question with the same meaning may name another person.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from analytics.cache import scoped_cache_key
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.guardrails.guard import GuardRails

logger = logging.getLogger(__name__)


async def within_rails(request: GatewayRequest, guard: GuardRails) -> GatewayRequest:
    """Return ``request`` so that it shares answers only under the current guard rails.

    Where a rail puts values into answers, a question that holds some is not answered from the
    semantic cache.
    """
    semantic_key = request.semantic_key
    if semantic_key:
        has_values = await asyncio.to_thread(_has_values, request.prompt, guard)
        semantic_key = "" if has_values else semantic_key
    return replace(
        request,
        cache_key=scoped_cache_key(request.cache_key, guard.fingerprint),
        semantic_key=scoped_cache_key(semantic_key, guard.fingerprint),
    )


def _has_values(text: str, guard: GuardRails) -> bool:
    for rail in guard.rails:
        try:
            if rail.puts_back(text):
                return True
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is shared with nobody
            logger.warning(
                "The guard rail %s cannot say whether a question may be answered from the "
                "semantic cache (%s)",
                rail.name,
                type(error).__name__,
            )
            return True
    return False
