"""What a client is told where no model may answer, or every provider failed."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from optimizer.api.http.failure import MOST_ERROR_CHARS, Failure
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import GuardrailRefused, RoutingUnavailable
from providers.errors import OutsideResidency
from providers.features import field_names
from routing.models import NoEligibleModel

# What these statuses of a provider say is about the client's request, not about our key.
_RELAYED = frozenset({400, 404, 409, 413, 422})
# What these say is of use to a client that named the model: quotas, and when to come back.
_RELAYED_IF_NAMED = frozenset({429, 503, 529})


def no_eligible_model(error: NoEligibleModel, request: GatewayRequest | None) -> Failure:
    """Return the failure of a request that no model can serve, with the fields at fault."""
    param = _fields_at_fault(error, request)
    if not error.excluded:
        return Failure(
            503,
            "overloaded",
            "Routing unavailable: no provider is configured. "
            "Set a provider's API key or LOCAL_PROVIDER=on.",
        )
    if error.too_long:
        # No configuration of the request but a shorter one can be served.
        return Failure(
            413, "too_large", str(error), param, "context_length_exceeded",
            errors={"prompt": [str(error)]}, summary="The request is too long for every model.",
        )  # fmt: skip
    if wanted := [need for need in error.missing if need.startswith("data residency")]:
        message = f"No model that may answer has {' and '.join(wanted)}. {error}"
        return Failure(
            400, "invalid", message, "residency", OutsideResidency.code,
            errors={"residency": [message]}, summary="The data must stay where no model is.",
        )  # fmt: skip
    # Some APIs have no place of their own for the field at fault.
    message = f"{error} The request asks for it in: {param}." if param else str(error)
    return Failure(
        400,
        "invalid",
        message,
        param,
        "unsupported_feature",
        errors={"prompt": [message]},
        summary="No model can serve this request.",
    )


def _fields_at_fault(error: NoEligibleModel, request: GatewayRequest | None) -> str | None:
    if request is None:
        return None
    needs = request.needs
    fields = [needs[need] for need in error.missing if need in needs]
    return ", ".join(field_names(request.chat, fields)) or None


def own_error(error: RoutingUnavailable, request: GatewayRequest | None) -> Failure | None:
    """Return the provider's own error if it concerns the client, and the client uses its wire."""
    source = request.chat.source if request is not None else None
    if request is None or source is None:
        return None
    return relayed_failure(error, source.wire, named=request.only is not None)


def relayed_failure(error: RoutingUnavailable, wire: str, *, named: bool) -> Failure | None:
    """Return the last provider's own error, for a client of ``wire`` that it concerns.

    ``named`` is whether the client named the model.
    """
    last = error.attempts[-1] if error.attempts else None
    if last is None or last.body is None or last.status is None:
        return None
    if last.status not in _RELAYED and not (named and _is_of_one_provider(error)):
        return None
    # Chat completions and responses report errors in the same form.
    if wire.partition("-")[0] != last.wire.partition("-")[0]:
        return None
    if last.status == 404 and not named:
        return None
    # 529 is no status of HTTP: not every client knows that it may try again.
    status = 503 if last.status == 529 else last.status
    failure = Failure.of_status(status, last.words or last.message)
    wait = None if last.retry_after is None else ceil(last.retry_after)
    return replace(
        failure,
        code=last.error,
        retry_after=wait,
        relayed=last.body,
        headers=last.headers,
        ours=False,
    )


def _is_of_one_provider(error: RoutingUnavailable) -> bool:
    """Return whether a limit or an overload is that of the one provider that was called."""
    if error.deadline_passed:
        return False
    alone = len({attempt.provider for attempt in error.attempts}) == 1
    return alone and error.attempts[-1].status in _RELAYED_IF_NAMED


def routing_failure(error: RoutingUnavailable) -> Failure:
    """Return the failure of a request that guard rails refused or every provider failed."""
    if isinstance(error, GuardrailRefused):
        if error.unavailable:
            return Failure(
                503,
                "overloaded",
                str(error),
                code="guardrail_unavailable",
                retry_after=5,
                ours=False,
            )
        refused = Failure(400, "invalid", str(error), code="guardrail_refused", ours=False)
        if not error.field:
            return refused
        field = error.field[:MOST_ERROR_CHARS]
        return replace(refused, param=field, errors={field: [str(error)]})
    attempts = error.attempts
    calls = "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)
    message = f"{error} {calls}".strip()
    unavailable = Failure(
        503,
        "overloaded",
        message,
        code="routing_unavailable",
        details={"failures": error.failures},
        summary=str(error),
        ours=False,
    )
    if error.deadline_passed:
        return replace(unavailable, status=504, kind="timeout", code="deadline_exceeded")
    if error.all_rejected:
        words = next((a.words for a in reversed(attempts) if a.words), "") or message
        code = attempts[-1].error
        return replace(unavailable, status=400, kind="invalid", message=words, code=code)
    if attempts and all(a.error == OutsideResidency.code for a in attempts):
        return replace(
            unavailable, status=400, kind="invalid", param="residency", code=OutsideResidency.code
        )
    if attempts and all(a.error == "rate_limited" for a in attempts):
        wait = ceil(min((a.retry_after for a in attempts if a.retry_after), default=1.0))
        limited = replace(unavailable, status=429, kind="rate_limited", retry_after=wait)
        return replace(limited, code="rate_limit_exceeded")
    return unavailable
