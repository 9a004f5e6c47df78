"""Looks an answer up: by the same question, or by the same meaning if the semantic cache is on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analytics.cache import CacheReader
from analytics.models import CachedResponse
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.domain.result import CompletionResult, NotCached
from optimizer.gateway.cache.semantic.cache import SemanticCache
from optimizer.policies.levers import ActiveLevers
from providers.known_models import KnownModels
from routing.rules import NO_EFFECT, Effect


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A cached answer; ``likeness`` (-1 to 1) is set if its prompt differs from the request's.

    ``trial`` is set while the cache is to be proven.
    """

    entry: CachedResponse
    likeness: float | None = None
    trial: LeverTrial | None = None

    @property
    def left_alone(self) -> bool:
        """Return whether the answer is not to be used, so that others can be compared with it."""
        return self.trial is not None and not self.trial.treated

    def tried(self, analyzed: AnalyzedRequest) -> AnalyzedRequest:
        """Return ``analyzed`` with the trial, and with the answer's text if it is left alone."""
        if self.trial is None:
            return analyzed
        request = analyzed.request
        request = replace(
            request,
            trials=(*request.trials, self.trial),
            passed_over=self.entry.response if self.left_alone else "",
        )
        return replace(analyzed, request=request)


class AnswerCache:
    """Finds cached answers. Without ``exact`` the cache is off; ``semantic`` is optional."""

    def __init__(
        self,
        exact: CacheReader | None,
        semantic: SemanticCache | None = None,
        levers: ActiveLevers | None = None,
        models: KnownModels | None = None,
    ) -> None:
        self._levers = levers
        self._models = models
        self._exact = exact
        self._semantic = semantic
        self.on = exact is not None
        self.semantic = self.on and semantic is not None
        """Whether the semantic cache is used."""

    async def find(self, analyzed: AnalyzedRequest) -> CacheHit | None:
        """Return the cached answer to a request, ``None`` if there is none.

        Raises :class:`NotCached` if there is none and the client accepts only a cached answer.
        """
        request = analyzed.request
        if self._exact is not None and request.cache.read and self._used("response_cache"):
            if entry := await self._live(self._exact, analyzed, request.cache_key):
                return self._hit("response_cache", analyzed, entry)
            if self._semantic is not None and self._used("semantic_cache"):
                match = self._semantic.find(request.semantic_key, request.prompt)
                if match and (entry := await self._live(self._exact, analyzed, match.key)):
                    return self._hit("semantic_cache", analyzed, entry, match.likeness)
        if request.cache.only:
            raise NotCached
        return None

    def remember(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Add an answer that was just stored to the semantic cache."""
        if self._semantic is not None and result.cache_key is not None:
            self._semantic.add(
                analyzed.request.semantic_key, analyzed.request.prompt, result.cache_key
            )

    def _used(self, lever: str) -> bool:
        """Return whether operators use the lever: one that does harm is switched off."""
        return self._levers is None or self._levers.mode(lever) != "off"

    def _hit(
        self,
        lever: str,
        analyzed: AnalyzedRequest,
        entry: CachedResponse,
        likeness: float | None = None,
    ) -> CacheHit:
        levers = self._levers
        # A client that accepts only a cached answer would get none.
        if levers is None or levers.mode(lever) != "prove" or analyzed.request.cache.only:
            return CacheHit(entry, likeness)
        cost = entry.original_cost
        return CacheHit(entry, likeness, levers.draw(lever, analyzed.request, expected=cost))

    async def _live(
        self, cache: CacheReader, analyzed: AnalyzedRequest, key: str
    ) -> CachedResponse | None:
        """Return the entry under ``key`` if it is fresh enough and no rule forbids its model."""
        entry = await cache.find(key)
        if entry is None or self._is_excluded(entry, analyzed.effect):
            return None
        max_age = analyzed.request.cache.max_age
        age = (analyzed.request.asked_at - entry.created_at).total_seconds()
        return entry if max_age is None or age <= max_age else None

    def _is_excluded(self, entry: CachedResponse, effect: Effect) -> bool:
        """Return whether rules exclude the entry's model, or the one that it is a snapshot of."""
        if effect is NO_EFFECT:
            return False
        ref = (entry.provider, entry.model)
        dated = "" if self._models is None else self._models.snapshot_of(*ref)
        return effect.exclusion_reason(*ref, dated) is not None
