"""A deferred request as it is stored, and as it is taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from analytics.models import DeferredRequest
from analytics.reports.lever_rows import PART_OF
from optimizer.domain.analyzed_request import AnalyzedRequest, Assignment
from optimizer.domain.client import Client
from optimizer.domain.levers import LeverTrial
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.recording.stored_values import read, written
from routing.models import PromptAnalysis, RoutingDecision

LEVER = "batch"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What a client sent: its path, its body, and the headers that count.

    ``original`` is the body before references in it were resolved, if it had any.
    """

    path: str
    data: Any
    headers: Mapping[str, str]
    original: Any = None


def unadmitted_row(request: GatewayRequest, sent: SentRequest) -> DeferredRequest:
    """Return the row of a request of a client's batch, whose model is chosen later."""
    row = deferred_row(AnalyzedRequest(request, request.analyze()), None, sent)
    row.state = DeferredRequest.State.ADMITTING
    return row


def deferred_row(
    analyzed: AnalyzedRequest, decision: RoutingDecision | None, sent: SentRequest
) -> DeferredRequest:
    """Return the row of a request that is to be answered later."""
    request = analyzed.request
    assert request.deadline is not None
    source = request.as_asked.source
    analysis, assignment = analyzed.analysis, analyzed.assignment
    stored = {
        "request": written(request),
        "analysis": [
            analysis.pattern, analysis.complexity, analysis.tier, analysis.token_count,
        ],
        "assignment": None if assignment is None else [assignment.experiment, assignment.arm],
        "headers": dict(sent.headers),
        # Most clients' bodies are in the chat already.
        "data": None if source is not None and source.body is sent.data else sent.data,
        "original": sent.original,
    }  # fmt: skip
    client = request.client
    return DeferredRequest(
        id=request.request_id,
        created_at=request.asked_at,
        not_before=request.asked_at,
        deadline_at=request.asked_at + timedelta(seconds=request.deadline),
        tenant=client.tenant,
        api_key=client.key,
        user_id=request.user_id,
        project=client.project,
        path=sent.path,
        provider="" if decision is None else decision.provider,
        model="" if decision is None else decision.model,
        group=_group(request),
        request=json.dumps(stored),
        decision={} if decision is None else written(decision),
        webhook=request.webhook,
    )


def _group(request: GatewayRequest) -> str:
    """Return what requests of one batch must have in common, beside their model."""
    source = request.chat.source
    if source is None:
        return ""
    parts = [source.wire, *sorted(f"{name}:{value}" for name, value in source.headers.items())]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def sent_request(row: DeferredRequest) -> SentRequest:
    """Return what the client sent."""
    stored = json.loads(row.request)
    data = stored["data"]
    if data is None:
        request: GatewayRequest = read(stored["request"])
        source = request.as_asked.source
        data = {} if source is None else source.body
    return SentRequest(row.path, data, stored["headers"], stored["original"])


def restored(row: DeferredRequest, client: Client) -> AnalyzedRequest:
    """Return the request as it was accepted; ``client`` is its client as it is now.

    Its tokens were counted against the client's limits when it was accepted.
    """
    stored = json.loads(row.request)
    request: GatewayRequest = read(stored["request"])
    request = replace(
        request,
        client=replace(client, tokens_per_minute=None) if client.key else client,
        deferred=row.pk,
        streamed=False,
    )
    assignment = stored["assignment"]
    return AnalyzedRequest(
        request,
        PromptAnalysis(*stored["analysis"]),
        assignment=None if assignment is None else Assignment(*assignment),
    )


def restored_decision(row: DeferredRequest) -> RoutingDecision:
    """Return the decision that was taken when the request was accepted."""
    decision: RoutingDecision = read(row.decision)
    return decision


def lane_trials(request: GatewayRequest, part_of: Any = None) -> tuple[LeverTrial, ...]:
    """Return the trial of the batch lane, if there is one.

    A record that is not the request's own is ``part_of`` it: both are one request of its arm.
    """
    trials = [trial for trial in request.trials if trial.lever == LEVER]
    if part_of is not None:
        part = {PART_OF: str(part_of)}
        trials = [replace(trial, detail={**(trial.detail or {}), **part}) for trial in trials]
    return tuple(trials)


def for_a_call(analyzed: AnalyzedRequest, *, call_id: Any, held: bool) -> GatewayRequest:
    """Return the request for a call of its own, before levers changed it for its model.

    ``held`` is whether money is held for ``call_id`` already.
    """
    request = analyzed.request
    trials = lane_trials(request)
    if call_id != request.request_id:
        trials = lane_trials(request, part_of=request.request_id)
    return replace(
        request,
        chat=request.as_asked,
        asked=None,
        trials=trials,
        request_id=call_id,
        held=held,
        deadline=None,
        accepts_later=False,
    )
