"""Settles what is held for requests that nobody will finish, by what is known of their calls.

A request whose call never began gets its money back. A call that may have begun may be charged:
it becomes a row of the ledger with an estimate, marked as such, that counts in its budgets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction

from analytics.budgets.begun_calls import proof_forget, proof_of, proved_workers
from analytics.budgets.workers import LONGEST_REQUEST, holds_mark_lost
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.models import BudgetHold, RequestRecord
from routing.analysis import analyze_prompt

LOST = "worker_lost"
"""The error code of a call whose end nobody knows."""
_MESSAGE = "was called; its answer was lost with the worker, and may have been charged"
_SETTLED_TOGETHER = 200


@transaction.atomic
def calls_settle(requests: Collection[UUID], may_have_begun: Callable[[UUID], bool]) -> int:
    """Give back what is held for ``requests``, or record what may have been charged.

    Return how many rows were recorded.
    """
    by_request: dict[UUID, list[BudgetHold]] = defaultdict(list)
    rows = BudgetHold.objects.filter(request_id__in=requests).order_by("pk").select_for_update()
    for held in rows:
        by_request[held.request_id].append(held)
    recorded = set(RequestRecord.objects.filter(pk__in=by_request).values_list("pk", flat=True))
    called = [
        holds[0]
        for request, holds in by_request.items()
        if request not in recorded and may_have_begun(request)
    ]
    settled = by_request.keys() - {held.request_id for held in called}
    BudgetHold.objects.filter(request_id__in=settled).delete()
    if called:
        write_entries([LedgerEntry(_estimate(held)) for held in called])
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
            count += calls_settle(group, proof.may_have_begun)
    for worker in proved_workers(folder):
        if worker not in holding and proof_of(folder, worker).dead:
            proof_forget(folder, worker)
    return count


def _estimate(held: BudgetHold) -> RequestRecord:
    analysis = analyze_prompt("")
    provider, _, model = held.model.partition("/")
    # Holds of a version before this one have no estimate.
    cost = held.amount if held.estimate is None else held.estimate
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
        tokens_in=held.tokens_in,
        tokens_out=held.tokens_out,
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
                "tokens_in": held.tokens_in,
                "tokens_out": held.tokens_out,
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
