"""Serves the paths that are passed on to one provider."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from analytics.models import ProviderObject
from optimizer.api.anthropic.errors import error_body as anthropic_error
from optimizer.api.compat.response_headers import relayed_headers
from optimizer.api.http.errors import failure_of
from optimizer.api.http.failure import Failure, retry_headers
from optimizer.api.http.json_out import as_json
from optimizer.api.openai.errors import error_body as openai_error
from optimizer.api.relayed.calls import NoProvider, RelayedCall, wire_of
from optimizer.api.relayed.lists import own_list
from optimizer.api.relayed.places import Action, Kind, Place
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request_bounds import RESIDENCY_HEADER, residency_of
from optimizer.domain.result import PASSED_UNREAD, NotAllowed, UnknownObject
from optimizer.wiring.build import get_services
from optimizer.wiring.services import Services
from providers.errors import ProviderError
from providers.http.side_calls import SideAnswer
from providers.http.transport import client_headers

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
# What a client uploaded must not run as a page of this service.
_SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'"}
_FIRST_ERROR_BYTES = 1024 * 1024


class InvalidBatch(ValueError):
    """The batch's JSON has no meaning, or more than one; the message says why."""


def view_of(place: Place) -> View:
    """Return the view of one path."""
    allowed = sorted({*place.actions, "HEAD", "OPTIONS"} if "GET" in place.actions
                     else {*place.actions, "OPTIONS"})  # fmt: skip

    async def view(request: HttpRequest, **ids: str) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method == "OPTIONS":
            return HttpResponse(status=204, headers={"Allow": ", ".join(allowed)})
        if method not in place.actions:
            failure = Failure.of_status(405, f"Method {method} is not allowed here.")
            return failed(request, place, failure, {"Allow": ", ".join(allowed)})
        try:
            return await _serve(request, place, ids)
        except (NoProvider, InvalidBatch) as error:
            return failed(request, place, Failure(400, "invalid", str(error)))
        except Exception as error:  # noqa: BLE001 - reported in the API's format
            return failed(request, place, failure_of(error))

    return view


def failed(
    request: HttpRequest, place: Place, failure: Failure, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return the response that reports ``failure`` in the format of the client's API."""
    if wire_of(request, place) == "anthropic":
        body = anthropic_error(failure, getattr(request, "request_id", None))
    else:
        body = openai_error(failure)
    more = {**retry_headers(failure.retry_after, failure.code), **(headers or {})}
    return HttpResponse(as_json(body), "application/json", failure.status, headers=more)


async def _serve(request: HttpRequest, place: Place, ids: Mapping[str, str]) -> HttpResponseBase:
    services = get_services()
    client: Client = getattr(request, "scope", {}).get("optimizer.client", ANONYMOUS)
    action = place.actions["GET" if request.method == "HEAD" else str(request.method)]
    kept = None
    if object_id := ids.get("object_id", ""):
        kept = await services.provider_objects.find(place.kind, object_id, client)
    call = RelayedCall.of(services, client, request, place, kept.provider if kept else "", ids)
    if kept is not None and kept.provider != call.provider.name:
        raise UnknownObject(f"{place.kind.capitalize()} with id '{object_id}' not found.")
    _check_may_send(call, action)
    models, held = await _admitted(call) if action == "create" else ((), None)
    if kept is not None and action in {"delete", "read"}:
        await _settle_before(services, kept)
    try:
        answer = await call.send()
    except ProviderError as error:
        if not error.maybe_charged:
            await services.provider_objects.holds.release(held)
        raise
    if answer.status >= 400:
        await services.provider_objects.holds.release(held)
        return await _provider_error(call, answer)
    if action == "read" or _is_stream(answer):
        return _passed_on(call, answer)
    raw = await answer.read()
    body: Mapping[str, Any] = _object(raw)
    if action == "list":
        given = await own_list(call, body)
    else:
        await _note(call, action, body, kept, models, held)
        given = body
    given = with_own_results(given)
    raw = raw if given is body else as_json(given)
    return HttpResponse(raw, headers=_headers(call, answer), status=answer.status)


def _check_may_send(call: RelayedCall, action: Action) -> None:
    """Raise if guard rails or a residency forbid to pass the request on."""
    caller = call.services.caller
    if action in {"create", "change"} and caller.guard is not None:
        raise NotAllowed(PASSED_UNREAD)
    named = residency_of(call.request.headers.get(RESIDENCY_HEADER, ""))
    residency = call.client.residency | named
    if action in {"create", "change"}:
        residency |= call.services.rules.residency_of_unread(call.client)
    if residency:
        caller.must_stay_within(call.provider.name, residency)


def with_own_results(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a batch, or a list of batches, whose results are fetched from this service.

    Anthropic's clients follow ``results_url`` with the key that they have: that of this service.
    They resolve a relative one against their base URL.
    """
    data = body.get("data")
    if isinstance(data, list):
        items = [with_own_results(item) if isinstance(item, dict) else item for item in data]
        same = all(new is old for new, old in zip(items, data, strict=True))
        return body if same else {**body, "data": items}
    if body.get("type") != "message_batch" or not body.get("results_url"):
        return body
    return {**body, "results_url": f"/v1/messages/batches/{body.get('id')}/results"}


async def _note(
    call: RelayedCall, action: Action, body: Mapping[str, Any], kept: ProviderObject | None,
    models: Sequence[str], held: uuid.UUID | None,
) -> None:  # fmt: skip
    """Remember what the provider did."""
    objects, kind = call.services.provider_objects, call.place.kind
    if action == "create":
        model = models[0] if len(models) == 1 else ""
        await objects.created(kind, call.provider.name, body, call.client, model, held)
    elif kept is None:
        return
    elif action == "delete":
        await objects.deleted(kind, kept.provider, kept.object_id)
    else:
        await objects.seen(kept, body)


async def _admitted(call: RelayedCall) -> tuple[tuple[str, ...], uuid.UUID | None]:
    """Check a new object before it is made, and hold what a batch may cost.

    Return the models of a batch, as far as known, and the id of what is held.
    """
    objects, client = call.services.provider_objects, call.client
    if call.place.kind != Kind.BATCH:
        return (), None
    try:
        body = call.own_json()
    except ValueError as error:
        raise InvalidBatch(f"The batch cannot be read: {error}.") from None
    file_id = body.get("input_file_id")
    if isinstance(file_id, str) and file_id not in await objects.own(Kind.FILE, [file_id], client):
        raise UnknownObject(f"File with id '{file_id}' not found.", "input_file_id")
    requests = body.get("requests")
    params = [
        item["params"]
        for item in (requests if isinstance(requests, list) else [])
        if isinstance(item, dict) and isinstance(item.get("params"), dict)
    ]
    models = dict.fromkeys(str(given.get("model") or "") for given in params)
    await objects.admit(call.provider.name, models, client)
    named = file_id if isinstance(file_id, str) else ""
    held = await objects.holds.hold(
        call.provider, params, named, client, endpoint=str(body.get("endpoint")),
        headers={name.lower(): value for name, value in call.request.headers.items()},
    )  # fmt: skip
    return tuple(models), held


async def _settle_before(services: Services, kept: ProviderObject) -> None:
    """Record what an object cost before it is deleted, or while its results are read."""
    objects = services.provider_objects
    costly = await objects.batch_of(kept) if kept.kind == Kind.FILE else kept
    if costly is not None and not costly.recorded:
        await objects.settlement.settle(costly, seconds=2)


async def _provider_error(call: RelayedCall, answer: SideAnswer) -> HttpResponse:
    raw = await answer.read()
    if answer.status in {401, 403}:
        words = f"refused the operator's API key (HTTP {answer.status})"
        raise ProviderError(call.provider.name, words, status=answer.status)
    if len(raw) > _FIRST_ERROR_BYTES or call.provider.holds_key(raw):
        failure = Failure.of_status(answer.status, f"{call.provider.name} answered with an error.")
        return failed(call.request, call.place, failure, _headers(call, answer, typed=False))
    return HttpResponse(raw, status=answer.status, headers=_headers(call, answer))


def _passed_on(call: RelayedCall, answer: SideAnswer) -> HttpResponseBase:
    async def chunks() -> AsyncGenerator[bytes, None]:
        async with aclosing(answer.chunks()) as source:
            async for chunk in source:
                yield chunk

    headers = _headers(call, answer)
    size = answer.headers.get("content-length")
    if size and not answer.headers.get("content-encoding"):
        headers["Content-Length"] = size
    return StreamingHttpResponse(chunks(), status=answer.status, headers=headers)


def _headers(call: RelayedCall, answer: SideAnswer, *, typed: bool = True) -> dict[str, str]:
    headers = relayed_headers(client_headers(answer.headers.raw), None)
    headers["X-Optimizer-Provider"] = call.provider.name
    if typed:
        kind = answer.headers.get("content-type", "application/octet-stream")
        headers |= {"Content-Type": kind, **_SANDBOX}
        if place := answer.headers.get("content-disposition"):
            headers["Content-Disposition"] = place
    for name in ("retry-after", "retry-after-ms", "x-should-retry"):
        if value := answer.headers.get(name):
            headers[name] = value
    return headers


def _is_stream(answer: SideAnswer) -> bool:
    return str(answer.headers.get("content-type", "")).startswith("text/event-stream")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
