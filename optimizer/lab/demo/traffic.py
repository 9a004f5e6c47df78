"""Sends the requests of the demo through the real service, and has some of them judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from django.db import connections

from analytics.cache import cache_key
from analytics.ledger.ledger import Ledger, LedgerEntry
from analytics.models import Comparison, Feedback, RequestRecord
from analytics.quality.comparisons import Judgement, ScoredAnswer, comparison_record
from analytics.quality.feedback import Expectation, feedback_record
from optimizer.domain.client import Client
from optimizer.domain.identifiers import CHAT, Session, new_request_id
from optimizer.domain.model_names import ModelNames
from optimizer.domain.request import CachePolicy, GatewayRequest
from optimizer.domain.request_bounds import apply_client
from optimizer.domain.result import CompletionResult, RoutingUnavailable
from optimizer.gateway.service import RoutingService
from optimizer.lab.demo.schedule import PlannedRequest
from optimizer.lab.demo.simulated_models import PLANNED, TRIED, SimulatedQuality
from optimizer.quality.evidence import EvidenceTable
from providers.chat import Chat, Tool
from providers.completion import Usage
from providers.pricing import PriceBook
from routing.models import ModelRef

REFERENCE = ModelRef("claude", "claude-opus-5-5")
"""The model that the demo's guarantee promises the quality of."""
JUDGE = ModelRef("openai", "gpt-6-luna")
_AT_ONCE = 24
_CACHED_FOR = timedelta(days=7)
_JUDGED, _LEARNED_EVERY = 0.22, 400
_LONGEST_JUDGED = 2_200
"""Input tokens above which no second answer is bought, as it would cost too much."""
_RATED = {"help-bot": 0.07, "code-review": 0.12, "copy-desk": 0.14, "study-room": 0.1,
          "analysis-desk": 0.12}  # fmt: skip
_COMMENTS = {
    1: ("Exactly what I needed.", "Saved me an hour.", ""),
    -1: ("Too vague.", "The second step is wrong.", "It invents a rule that we do not have.", ""),
}
_REFUSED = (
    (402, "budget_exceeded", "The budget for agents has too little left for this request."),
    (429, "rate_limited", "More than 60 requests in a minute."),
    (400, "invalid_request", "max_tokens must be at least 1."),
)
_REFUSED_SHARE = 0.004
_MAX_TOKENS = 2000
_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Turning:
    """Something that happens at a moment of the demo, such as the end of an experiment."""

    at: datetime
    happens: Callable[[], object]


class DemoTraffic:
    """Sends planned requests in the order of their times, each as the client of its application.

    ``clients`` are the clients by application, ``tools`` those of agents. ``seed`` decides which
    answers are judged.
    """

    def __init__(
        self,
        routing: RoutingService,
        names: ModelNames,
        prices: PriceBook,
        ledger: Ledger,
        evidence: EvidenceTable,
        quality: SimulatedQuality,
        expect: Expectation,
        clients: Mapping[str, Client],
        tools: Sequence[str],
        seed: int,
    ) -> None:
        self._routing = routing
        self._names = names
        self._prices = prices
        self._ledger = ledger
        self._evidence = evidence
        self._quality = quality
        self._expect = expect
        self._clients = clients
        self._seed = seed
        self._tools = tuple(Tool(name, f"The tool {name}.", _SCHEMA) for name in tools)
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo")

    def close(self) -> None:
        """End the thread that writes ratings, and its connection."""
        self._database.submit(connections.close_all)
        self._database.shutdown(wait=True)

    async def run(
        self,
        planned: Sequence[PlannedRequest],
        turnings: Sequence[Turning],
        step: Callable[[], None],
    ) -> None:
        """Return once all requests are recorded; call ``step`` after each."""
        waiting = sorted(turnings, key=lambda turning: turning.at)
        slots, running = asyncio.Semaphore(_AT_ONCE), set[asyncio.Task[None]]()
        sessions: dict[str, asyncio.Task[None]] = {}
        for request in planned:
            while waiting and waiting[0].at <= request.at:
                await asyncio.gather(*running)
                await self._in_database(waiting.pop(0).happens)
            if request.number % _LEARNED_EVERY == 0:
                await self._in_database(self._evidence.refresh)
            await slots.acquire()
            # The turns of a session come one after the other, as its agent waits for each.
            before = sessions.get(request.session) if request.session else None
            task = asyncio.create_task(self._send(request, before))
            running.add(task)
            if request.session:
                sessions[request.session] = task

            def ended(task: asyncio.Task[None]) -> None:
                running.discard(task)
                slots.release()
                step()

            task.add_done_callback(ended)
        await asyncio.gather(*running)

    async def _in_database(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._database, work)

    async def _send(self, planned: PlannedRequest, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        PLANNED.set(planned)
        TRIED.set([])
        random = Random(f"{self._seed} {planned.number} after")
        if random.random() < _REFUSED_SHARE:
            await self._ledger.record(LedgerEntry(self._refused(planned, random)))
            return
        try:
            answer = await self._routing.complete(self._request(planned))
        except RoutingUnavailable:
            return  # recorded as failed, as planned
        await self._in_database(lambda: self._judge(planned, answer, random))

    def _request(self, planned: PlannedRequest) -> GatewayRequest:
        selection = self._names.select(planned.requested_model or "auto")
        client = self._clients[planned.app.name]
        tools = self._tools if planned.agent else ()
        chat = Chat(planned.messages, _MAX_TOKENS, tools=tools, allow_empty=False)
        texts = [message.text for message in planned.messages]
        key = cache_key(
            "\n".join(texts), max_tokens=_MAX_TOKENS, auto_route=True, model=planned.requested_model
        )
        cache = CachePolicy(max_age=int(_CACHED_FOR.total_seconds()))
        if not planned.cached:
            cache = CachePolicy(read=False, write=False, bypass_reason="the request calls tools")
        request = GatewayRequest(
            chat=chat,
            prompt=planned.prompt,
            cache_key=key,
            strategy=selection.strategy,
            endpoint=planned.endpoint,
            requested_model=planned.requested_model,
            only=selection.only,
            tags=(planned.agent or planned.app.name,),
            user_id=planned.user,
            session=Session(planned.session, planned.agent or CHAT),
            turn=planned.turn,
            cache=cache,
            streamed=planned.streamed,
            request_id=new_request_id(planned.at),
            asked_at=planned.at,
        )
        return apply_client(request, client)

    def _judge(self, planned: PlannedRequest, answer: CompletionResult, random: Random) -> None:
        """Have the answer rated by its user, and compared with the reference's by the judge."""
        model, tier = ModelRef(answer.provider, answer.model), answer.decision.metadata["tier"]
        good = self._quality.is_good(planned, tier, model)
        if random.random() < _RATED.get(planned.app.name, 0.0):
            rating = 1 if good else -1
            feedback_record(
                request_id=answer.request_id,
                rating=rating,
                comment=random.choice(_COMMENTS[rating]),
                source=Feedback.Source.CLIENT,
                expect=self._expect,
            )
        routed = answer.decision.strategy_used in ("hybrid", "learning") and not answer.cache_hit
        routed = routed and model != REFERENCE and answer.tokens_in <= _LONGEST_JUDGED
        if routed and random.random() < _JUDGED:
            as_good = self._quality.is_good(planned, tier, REFERENCE)
            scores = (0.5, 0.5) if good == as_good else (float(good), float(as_good))
            usage = Usage(answer.tokens_in, answer.tokens_out)
            read = Usage(answer.tokens_in + 2 * answer.tokens_out + 250, 60)
            comparison_record(
                answer.request_id,
                ScoredAnswer(*model, scores[0]),
                ScoredAnswer(*REFERENCE, scores[1]),
                source=Comparison.Source.JUDGE,
                expected=answer.decision.metadata.get("quality_score"),
                judged=Judgement(
                    judge=str(JUDGE),
                    judge_cost=self._cost(JUDGE, read),
                    answer_cost=self._cost(REFERENCE, usage),
                ),
            )

    def _cost(self, model: ModelRef, usage: Usage) -> Decimal:
        return self._prices.cost(*model, usage) or Decimal(0)

    def _refused(self, planned: PlannedRequest, random: Random) -> RequestRecord:
        client = self._clients[planned.app.name]
        status, code, text = random.choice(_REFUSED)
        return RequestRecord(
            id=new_request_id(planned.at),
            created_at=planned.at,
            status=RequestRecord.Status.REFUSED,
            http_status=status,
            endpoint=planned.endpoint,
            error_code=code,
            error_detail=text,
            requested_model=planned.requested_model,
            streamed=planned.streamed,
            user_id=planned.user,
            api_key=client.key,
            tenant=client.tenant,
            project=client.project,
            cost=Decimal(0),
            complexity=0.0,
        )
