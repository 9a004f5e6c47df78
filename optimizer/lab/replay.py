"""Replay: recorded prompts and outcomes sent through the real service as traffic.

The recorded models form their own catalogue with one provider, ``replay``, which
answers with the recorded token counts. Routing, pricing, the ledger and learning are
the service's own. No answer text was recorded, so none is stored: the cache is not
used, and no client ever receives a replayed answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import connections

from analytics.models import Comparison, Feedback
from analytics.quality.comparisons import ScoredAnswer, comparison_record
from analytics.quality.feedback import Expectation, feedback_record
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.result import CompletionResult
from optimizer.gateway.service import RoutingService
from optimizer.quality.evidence import EvidenceTable
from providers import features
from providers.assembly import completion_events
from providers.catalogue import TIERS, Catalogue, ModelSpec, ProviderSpec
from providers.chat import Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import ProviderError
from providers.events import Event
from routing.models import ModelRef
from routing.outcomes import Prices, RecordedPrompt

PROVIDER = "replay"
TEXT = "(Replayed: the answer's text was not recorded.)"
MAX_TOKENS = 4000
_CONTEXT_WINDOW = 1_000_000
_REFRESH_EVERY = 50


def replay_catalogue(prompts: Sequence[RecordedPrompt], prices: Prices) -> Catalogue:
    """Return the recorded models as a catalogue.

    The models are ranked by average quality; each third of the ranking gets a higher tier.
    """
    scores: dict[str, list[float]] = {}
    for prompt in prompts:
        for model, outcome in prompt.outcomes.items():
            scores.setdefault(model, []).append(outcome.quality)
    ranked = sorted(scores, key=lambda model: (sum(scores[model]) / len(scores[model]), model))
    models = [
        ModelSpec(
            provider=PROVIDER,
            id=model,
            tier=TIERS[_third(rank, len(ranked))],
            rank=rank,
            context_window=_CONTEXT_WINDOW,
            price=_price(prices[model]) if model in prices else None,
        )
        for rank, model in enumerate(ranked)
    ]
    return Catalogue.of({PROVIDER: ProviderSpec(PROVIDER, wire="local")}, tuple(models))


def _third(rank: int, count: int) -> int:
    """Return 0, 1 or 2; with two models the weaker is simple, the stronger complex."""
    return round(2 * rank / max(1, count - 1))


def _price(price: tuple[Decimal, Decimal]) -> dict[str, Decimal]:
    return dict(zip(("input", "output"), price, strict=True))


class ReplayProvider:
    """A provider that answers with the recorded token counts of the recorded models."""

    name = PROVIDER
    wire = "openai"
    features = features.OPENAI

    def __init__(self, prompts: Sequence[RecordedPrompt]) -> None:
        self._outcomes = {prompt.prompt: prompt.outcomes for prompt in prompts}

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the recorded outcome; raise :class:`ProviderError` if there is none."""
        outcome = self._outcomes[request.chat.messages[-1].text].get(request.model)
        if outcome is None:
            raise ProviderError(PROVIDER, "no outcome of this model was recorded")
        unknown = outcome.input_tokens is None or outcome.output_tokens is None
        usage = Usage(outcome.input_tokens or 0, outcome.output_tokens or 0, estimated=unknown)
        return Completion(PROVIDER, request.model, (Choice((Text(TEXT),), "stop"),), usage)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the recorded outcome as events."""
        for event in completion_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Do nothing: there is no connection to close."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """How to replay.

    ``speed`` is in requests per second (0: as fast as possible). The recorded times are
    spread over the last ``days`` (0: now). ``at_once`` requests run at the same time. Each
    is compared with the model ``baseline`` ("": the choice of complexity).
    """

    speed: float = 0.0
    days: float = 0.0
    at_once: int = 16
    auto_route: bool = True
    baseline: str = ""


class Replay:
    """Sends prompts through the service in order, and rates each with its recorded quality."""

    def __init__(
        self,
        routing: RoutingService,
        provider: ReplayProvider,
        evidence: EvidenceTable,
        expect: Expectation,
    ) -> None:
        self._routing = routing
        self._provider = provider
        self._evidence = evidence
        self._expect = expect
        self._rated = 0
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")

    def close(self) -> None:
        """End the rating thread and its connection to the database."""
        self._database.submit(connections.close_all)
        self._database.shutdown(wait=True)

    async def run(
        self, prompts: Sequence[RecordedPrompt], plan: ReplayPlan, step: Callable[[], None]
    ) -> None:
        """Return once every request is recorded and rated; call ``step`` after each."""
        loop_started = asyncio.get_running_loop().time()
        started = datetime.now(UTC)
        slots = asyncio.Semaphore(plan.at_once)
        async with asyncio.TaskGroup() as tasks:
            for number, prompt in enumerate(prompts):
                if plan.speed:
                    due = loop_started + number / plan.speed
                    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await slots.acquire()
                asked_at = None
                if plan.days:
                    share = (number + 1) / len(prompts)
                    asked_at = started - timedelta(days=plan.days * (1 - share))
                task = tasks.create_task(self._replay_prompt(prompt, plan, asked_at))

                def finished(_: asyncio.Task[None]) -> None:
                    slots.release()
                    step()

                task.add_done_callback(finished)

    async def _replay_prompt(
        self, prompt: RecordedPrompt, plan: ReplayPlan, asked_at: datetime | None
    ) -> None:
        answer = await self._routing.route_and_complete(
            prompt.prompt,
            max_tokens=MAX_TOKENS,
            auto_route=plan.auto_route,
            user_id=prompt.benchmark,
            request_id=new_request_id(asked_at),
            asked_at=asked_at or datetime.now(UTC),
            baseline=ModelRef(PROVIDER, plan.baseline) if plan.baseline else None,
        )
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._database, self._rate, prompt, answer, plan.baseline)

    def _rate(self, prompt: RecordedPrompt, answer: CompletionResult, baseline: str) -> None:
        """Record the answer's quality as feedback, and compare it with the baseline's."""
        score = prompt.outcomes[answer.model].quality
        feedback_record(
            request_id=answer.request_id,
            score=score,
            source=Feedback.Source.REPLAY,
            expect=self._expect,
        )
        baseline = baseline or answer.decision.metadata["baseline_chain"][0]["model"]
        if (outcome := prompt.outcomes.get(baseline)) is not None:
            comparison_record(
                answer.request_id,
                ScoredAnswer(PROVIDER, answer.model, score),
                ScoredAnswer(PROVIDER, baseline, outcome.quality),
                source=Comparison.Source.REPLAY,
                expected=answer.decision.metadata.get("quality_score"),
            )
        self._rated += 1
        if self._rated % _REFRESH_EVERY == 0:
            self._evidence.refresh()
