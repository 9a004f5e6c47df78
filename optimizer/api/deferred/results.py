"""Writes the answer of a deferred request as its own API writes answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analytics.models import DeferredRequest
from optimizer.api.compat.chat_endpoint import ChatEndpoint
from optimizer.api.compat.response_headers import cost_headers
from optimizer.api.endpoints import endpoints_of
from optimizer.api.gemini.paths import method_of
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.http.failure import Failure
from optimizer.api.v1.complete import completion_body
from optimizer.api.v1.errors import error_body
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.gateway.deferred.restored import sent_request
from optimizer.gateway.recording.deferred_answers import stored_result
from optimizer.wiring.services import Services

_OPEN = DeferredRequest.OPEN


async def deferred_reply(
    services: Services, row: DeferredRequest, client: Client = ANONYMOUS
) -> JsonReply:
    """Return what the client would have got at once: the answer, or the error.

    Only for a request that has ended.
    """
    endpoint = _endpoint(services, row)
    if row.state != DeferredRequest.State.DONE or not row.answer:
        return _error(row, endpoint)
    result = replace(stored_result(row.answer), request_id=row.pk)
    headers = cost_headers(result)
    if not isinstance(endpoint, ChatEndpoint):
        return JsonReply(completion_body(result), headers=headers)
    sent = sent_request(row)
    api_request = ApiRequest(
        data=sent.data,
        request_id=row.pk,
        client=client,
        header=lambda name: sent.headers.get(name, ""),
        path=row.path,
        sent=sent.original,
    )
    _, response_format = endpoint.read(api_request)
    relayed = result.completion.relayed
    own = relayed is not None and not result.cache_hit
    body: Mapping[str, Any]
    if relayed is not None and own:
        body = response_format.rules.whole(relayed.body, result)
    else:
        body = response_format.whole(result)
    if response_format.keep is not None:
        await response_format.keep(result, body, own)
    return JsonReply(body, headers={**endpoint.headers(row.pk), **headers})


def _endpoint(services: Services, row: DeferredRequest) -> Any:
    endpoints = endpoints_of(services)
    return endpoints[row.path] or endpoints[method_of(row.path)]


def _error(row: DeferredRequest, endpoint: Any) -> JsonReply:
    status = row.status_code or 500
    failure = replace(Failure.of_status(status, _words(row)), code=row.error_code or row.state)
    if isinstance(endpoint, ChatEndpoint):
        return JsonReply(endpoint.error_body(failure, row.pk), status, endpoint.headers(row.pk))
    body = error_body(row.pk, status, failure.message, code=failure.code)
    return JsonReply(body, status)


def _words(row: DeferredRequest) -> str:
    return row.error_detail or f"The request is {row.get_state_display()}."
