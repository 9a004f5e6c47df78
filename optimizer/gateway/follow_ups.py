"""What follows an answer once it is recorded: caches learn of it, and samples are judged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from django.db import Error as DatabaseFailure

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import CompletionResult
from optimizer.domain.turns import KEEP_ALIVE
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.keep_alive import CacheKeeper
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS, PromptCaches
from optimizer.policies.autopilot import ActiveAutopilot
from optimizer.quality.judge import Judge
from optimizer.quality.lever_pairs import LeverPairs
from optimizer.quality.shadow import Shadow
from optimizer.quality.trial_answers import TrialAnswers
from optimizer.shared.tasks import Background
from routing.models import RoutingDecision

logger = logging.getLogger(__name__)
Decide = Callable[[AnalyzedRequest], RoutingDecision]


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who judges samples of the answers. Each is ``None`` where the settings leave it out."""

    judge: Judge | None = None
    shadow: Shadow | None = None
    lever_pairs: LeverPairs | None = None
    autopilot: ActiveAutopilot | None = None
    trial_answers: TrialAnswers | None = None

    async def drain(self) -> None:
        """Wait until all that they began has ended."""
        for watcher in (self.judge, self.shadow, self.lever_pairs, self.trial_answers):
            if watcher is not None:
                await watcher.drain()


NO_WATCHERS = Watchers()


class FollowUps:
    """Tells all who learn from answers. ``wire_of`` returns a provider's wire, "" if unknown.

    ``as_routed`` and ``afresh`` return what routing would choose for a request that names its
    model, and for one without its session.
    """

    def __init__(
        self,
        cache: AnswerCache,
        prompt_caches: PromptCaches,
        wire_of: Callable[[str], str],
        *,
        as_routed: Decide,
        afresh: Decide,
        watchers: Watchers = NO_WATCHERS,
        keep_alive: CacheKeeper | None = None,
    ) -> None:
        self._cache = cache
        self._prompt_caches = prompt_caches
        self._wire_of = wire_of
        self._as_routed = as_routed
        self._afresh = afresh
        self._watchers = watchers
        self._former: list[Watchers] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keep_alive = keep_alive
        self._background = Background()

    def begin(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Begin all that follows the answer. Never raises: it must be delivered."""
        try:
            self._begin(analyzed, result)
        except (Exception, asyncio.CancelledError) as error:
            logger.error("An answer could not be remembered", exc_info=error)

    async def drain(self) -> None:
        """Wait until all that began has ended."""
        await self._background.drain()
        for watchers in (*self._former, self._watchers):
            await watchers.drain()

    def watch(self, watchers: Watchers) -> None:
        """Have ``watchers`` judge from now on, from any thread; what the former ones began goes on.

        The former ones are kept until it has ended.
        """
        former, self._watchers = self._watchers, watchers
        if self._loop is None:
            return  # no answer has been given, so they have begun nothing
        self._former.append(former)
        with suppress(RuntimeError):  # the loop is closed, and nothing goes on
            self._loop.call_soon_threadsafe(self._release, former)

    def _release(self, former: Watchers) -> None:
        # On the loop's thread, so that no answer is just being given to them.
        self._background.run(self._drain_former(former))

    async def _drain_former(self, former: Watchers) -> None:
        try:
            await former.drain()
        except DatabaseFailure as failure:  # shutdown tries again to write what they counted
            logger.error("Former judges could not be released (%s)", type(failure).__name__)
            return
        self._former.remove(former)

    def _begin(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        self._loop = asyncio.get_running_loop()  # before the watchers are read: see watch()
        self._cache.remember(analyzed, result)
        if analyzed.request.turn == KEEP_ALIVE:
            return
        watchers = self._watchers
        if watchers.judge is not None:
            watchers.judge.consider(analyzed, result)
        if watchers.shadow is not None:
            watchers.shadow.consider(analyzed, result, self._as_routed)
        if watchers.lever_pairs is not None and analyzed.request.trials:
            watchers.lever_pairs.consider(analyzed, result)
        autopilot, trial_answers = watchers.autopilot, watchers.trial_answers
        if trial_answers is not None and autopilot is not None and autopilot.any:
            trial_answers.consider(analyzed, result, self._afresh)
        if self._keep_alive is not None:
            self._keep_alive.remember(analyzed, result)
        completion = result.completion
        # Input tokens include cached ones: with fewer, nothing can have been cached.
        if completion.usage.input_tokens >= LEAST_CACHED_TOKENS and (
            wire := self._wire_of(completion.provider)
        ):
            chat, tenant = analyzed.request.as_asked, analyzed.request.client.tenant
            reasoning = analyzed.request.chat.reasoning
            effort = reasoning.level if reasoning is not None else ""
            remembering = partial(
                self._prompt_caches.remember, chat, wire, completion, tenant, effort
            )
            if chat.large:
                self._background.run(asyncio.to_thread(remembering))
            else:
                remembering()
