"""Answers given before: the same question's, or the same in other words where that is on."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.cache import CacheReader
from analytics.models import CachedResponse
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import CompletionResult, NotCached
from optimizer.gateway.cache.semantic.cache import SemanticCache


@dataclass(frozen=True, slots=True)
class CacheHit:
    """An answer, and how alike its prompt is where it is not the same."""

    entry: CachedResponse
    likeness: float | None = None


class AnswerCache:
    """Without ``exact`` nothing is ever found; ``semantic`` may be left out."""

    def __init__(self, exact: CacheReader | None, semantic: SemanticCache | None = None) -> None:
        self._exact = exact
        self._semantic = semantic
        self.on = exact is not None
        self.semantic = self.on and semantic is not None
        """Whether questions in other words are found."""

    async def find(self, analyzed: AnalyzedRequest) -> CacheHit | None:
        """Raises :class:`NotCached` where only a cached answer is wanted."""
        request = analyzed.request
        if self._exact is not None and request.cache.read:
            if entry := await self._live(self._exact, analyzed, request.cache_key):
                return CacheHit(entry)
            if self._semantic is not None:
                match = self._semantic.find(request.semantic_key, request.prompt)
                if match and (entry := await self._live(self._exact, analyzed, match.key)):
                    return CacheHit(entry, match.likeness)
        if request.cache.only:
            raise NotCached
        return None

    def remember(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """An answer that was just stored may be found by its meaning from now on."""
        if self._semantic is not None and result.cache_key is not None:
            self._semantic.add(
                analyzed.request.semantic_key, analyzed.request.prompt, result.cache_key
            )

    @staticmethod
    async def _live(
        cache: CacheReader, analyzed: AnalyzedRequest, key: str
    ) -> CachedResponse | None:
        """The entry under ``key`` if it is as fresh as asked for and no rule forbids its model."""
        entry = await cache.find(key)
        if (
            entry is None
            or analyzed.effect.exclusion_reason(entry.provider, entry.model) is not None
        ):
            return None
        oldest = analyzed.request.cache.max_age
        age = (analyzed.request.asked_at - entry.created_at).total_seconds()
        return entry if oldest is None or age <= oldest else None
