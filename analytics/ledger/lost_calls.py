"""Settles what is held for requests that nobody will finish, by what is known of their calls.

A request whose call never began gets its money back. A call that may have begun may be charged:
it becomes a row of the ledger with an estimate, marked as such, that counts in its budgets. The
estimate is the part of the answer that had arrived, if the call was a stream. A whole answer of
which nothing had arrived is expected to be as long as others of its model; where too few are
known, and where the call has no proof, it counts as long as the request allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from analytics.budgets.begun_calls import Proof, proof_forget, proof_of, proved_workers
from analytics.budgets.workers import LONGEST_REQUEST, holds_mark_lost
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.models import BudgetHold, RequestRecord
from analytics.money import SMALLEST_USD
from analytics.reports.answers_in_progress import AnswersInProgress
from routing.analysis import analyze_prompt

LOST = "worker_lost"
"""The error code of a call whose end nobody knows."""
_MESSAGE = "was called; its answer was lost with the worker, and may have been charged"
_SETTLED_TOGETHER = 200


@transaction.atomic
def calls_settle(requests: Collection[UUID], proof: Proof) -> int:
    """Give back what is held for ``requests``, or record what may have been charged.

    ``proof`` is that of their worker. Return how many rows were recorded.
    """
    by_request: dict[UUID, list[BudgetHold]] = defaultdict(list)
    rows = BudgetHold.objects.filter(request_id__in=requests).order_by("pk").select_for_update()
    for held in rows:
        by_request[held.request_id].append(held)
    recorded = set(RequestRecord.objects.filter(pk__in=by_request).values_list("pk", flat=True))
    called = [
        holds[0]
        for request, holds in by_request.items()
        if request not in recorded and proof.may_have_begun(request)
    ]
    settled = by_request.keys() - {held.request_id for held in called}
    BudgetHold.objects.filter(request_id__in=settled).delete()
    if called:
        usual = AnswersInProgress()
        write_entries(
            [LedgerEntry(_record(held, _estimate(held, proof, usual))) for held in called]
        )
    return len(called)


def lost_calls_settle(folder: Path, journal: Journal) -> int:
    """Settle what dead workers held; return how many calls may have been charged.

    ``folder`` has the proofs of workers. While records wait in the journal, nothing is settled,
    because they may be those of these requests. What is proved by nothing is settled once no
    request can be in progress any more.
    """
    holds_mark_lost()
    if journal.pending():
        return 0
    count = 0
    holding = set(BudgetHold.objects.order_by().values_list("worker", flat=True).distinct())
    for worker in holding:
        proof = proof_of(folder, worker)
        held = BudgetHold.objects.filter(worker=worker)
        if not proof.dead:
            longest_ago = datetime.now(UTC) - LONGEST_REQUEST
            held = held.filter(lost_at__isnull=False, made_at__lt=longest_ago)
        requests = list(held.order_by().values_list("request_id", flat=True).distinct())
        for start in range(0, len(requests), _SETTLED_TOGETHER):
            group = requests[start : start + _SETTLED_TOGETHER]
            count += calls_settle(group, proof)
    for worker in proved_workers(folder):
        if worker not in holding and proof_of(folder, worker).dead:
            proof_forget(folder, worker)
    return count


def _estimate(held: BudgetHold, proof: Proof, usual: AnswersInProgress) -> _Estimate:
    known = proof.progress(held.request_id)
    # Holds of a version before this one have no estimate.
    cost = held.amount if held.estimate is None else held.estimate
    tokens_in, tokens_out = held.tokens_in, held.tokens_out
    if known is not None and known.tokens_out is not None:
        tokens_in, tokens_out, cost = known.tokens_in, known.tokens_out, known.cost
    elif known is not None:
        tokens_in = known.tokens_in
        part = usual.part_of_limit(held.model, held.tokens_out)
        cost = known.cost + (cost - known.cost) * part
        tokens_out = round(tokens_out * part)
    return _Estimate(tokens_in, tokens_out, cost.quantize(SMALLEST_USD))


class _Estimate(NamedTuple):
    """The tokens of a call, and what they cost in USD."""

    tokens_in: int
    tokens_out: int
    cost: Decimal


def _record(held: BudgetHold, estimate: _Estimate) -> RequestRecord:
    analysis = analyze_prompt("")
    provider, _, model = held.model.partition("/")
    tokens_in, tokens_out, cost = estimate
    return RequestRecord(
        id=held.request_id,
        created_at=held.asked_at or held.made_at,
        status=RequestRecord.Status.ERROR,
        endpoint=held.endpoint or RequestRecord.Endpoint.COMPLETE,
        pattern=analysis.pattern,
        complexity=analysis.complexity,
        tier=analysis.tier,
        strategy="named",
        confidence="low",
        provider=provider[:64],
        model=model[:128],
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_estimated=held.tokens_in,
        usage_estimated=True,
        cost=cost,
        price_basis=RequestRecord.PriceBasis.ESTIMATED,
        failed_cost=cost,
        attempts=[
            {
                "provider": provider[:64],
                "model": model[:128],
                "error": LOST,
                "message": _MESSAGE,
                "status": None,
                "cost": cost,
                "estimated": True,
                "tokens_in": tokens_in,
                "tokens_out": tokens_out,
            }
        ],
        error_code=LOST,
        error_detail=f"{provider} {_MESSAGE}.",
        api_key=held.api_key,
        user_id=held.user_id,
        tenant=held.tenant,
        project=held.project,
        session_id=held.session_id,
    )
