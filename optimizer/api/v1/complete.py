"""POST /complete: its input, its answer and its documentation."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework.request import Request

from analytics.ledger.sessions import SessionKey
from analytics.models import DeferredRequest
from optimizer.api.compat.acceptance import accepted_reply, sent_of
from optimizer.api.http.delivery import read_delivery
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.http.fields import (
    UNSTORABLE,
    DeadlineField,
    ResidencyField,
    StrictBooleanField,
    StrictIntegerField,
    StrictNumberField,
    StrictSerializer,
    StrictTextField,
)
from optimizer.api.http.headers import warning_header
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.v1.errors import reply_to
from optimizer.api.v1.schema import CompleteBody, DeferredBody, ErrorBody
from optimizer.budgets.brakes import SessionBrakes
from optimizer.domain.deadlines import Delivery
from optimizer.domain.identifiers import NO_SESSION, Session
from optimizer.domain.options import MAX_LATENCY_SECONDS
from optimizer.domain.request import storable_id
from optimizer.domain.request_bounds import RESIDENCY_HEADER, residency_of, within_regions
from optimizer.domain.result import CompletionResult
from optimizer.domain.turns import HUMAN
from optimizer.gateway.deferred.acceptance import Deferral
from optimizer.gateway.service import RoutingService
from optimizer.gateway.tokenizers import TokenizerCount, count_with_tokenizer
from optimizer.wiring.services import Services
from providers.residency import NO_RESIDENCY

_MAX_CHARS: int = settings.MAX_PROMPT_CHARS
_MAX_TOKENS, _DEFAULT_TOKENS = 4000, 1000


@extend_schema_serializer(component_name="CompleteInput")
class CompleteInput(StrictSerializer):
    """A prompt and options for its answer."""

    prompt = StrictTextField(
        max_length=_MAX_CHARS,
        help_text="The prompt; at least one character that is not white space.",
    )
    max_tokens = StrictIntegerField(
        default=_DEFAULT_TOKENS,
        min_value=1,
        max_value=_MAX_TOKENS,
        help_text="The maximum length of the answer, in tokens.",
    )
    auto_route = StrictBooleanField(
        default=False,
        help_text="true: hybrid routing, which learns over time. false: routing by complexity "
        "alone. The default can be set to true for an API key.",
    )
    session = StrictTextField(
        required=False,
        max_length=128,
        help_text="The id of the session that the request belongs to: a run of an agent, a task "
        "or a conversation. Its costs are summed, and budgets may limit them. The header "
        "x-session-id says the same.",
    )
    max_latency = StrictNumberField(
        required=False,
        min_value=0,
        max_value=MAX_LATENCY_SECONDS,
        help_text="Seconds until the answer is complete. Models that are expected to take longer "
        "are excluded; if there is no faster one, the fastest answers.",
    )
    deadline = DeadlineField(
        required=False,
        help_text="Within what the answer is wanted: seconds, a duration such as 30m or 6h, or a "
        "time with its zone. Requests that can wait may cost less. The header x-optimizer-deadline "
        "says the same.",
    )
    residency = ResidencyField(
        required=False,
        help_text="Regions that the data must not leave, with commas: only what is within all of "
        "them may serve. The header x-optimizer-residency says the same.",
    )
    tokenizer_id = StrictTextField(
        required=False,
        max_length=200,
        help_text="A Hugging Face tokenizer for an additional token count, if it is installed.",
    )
    webhook = StrictTextField(
        required=False,
        max_length=2000,
        help_text="The URL that is called once the answer of a deferred request is there.",
    )

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with the one whose name is a word of Python."""
        return {
            **super().get_fields(),
            "async": StrictBooleanField(
                required=False,
                help_text="true: an id in place of the answer (202) is accepted, if the deadline "
                "is long enough. The header Prefer: respond-async says the same.",
            ),
        }


_COMMON_FIELDS = frozenset({"prompt", "max_tokens", "auto_route", "session"})
_LONGEST_SESSION = 128


def read_complete(data: Any) -> dict[str, Any]:
    """Return the valid fields of ``data``; ``auto_route`` only if the request has it.

    Building a serializer costs more than everything else before routing. It is therefore used
    only for unusual bodies, because it reports best what is wrong.

    Raises :class:`rest_framework.exceptions.ValidationError`.
    """
    if _is_simple(data):
        return data  # type: ignore[no-any-return]
    serializer = CompleteInput(data=data)
    serializer.is_valid(raise_exception=True)
    valid: dict[str, Any] = serializer.validated_data
    if "auto_route" not in data:
        del valid["auto_route"]
    return valid


def _is_simple(data: Any) -> bool:
    """Return whether the serializer would accept ``data`` without a change."""
    if type(data) is not dict or not data.keys() <= _COMMON_FIELDS:
        return False
    if "session" in data and not _is_simple_session(data["session"]):
        return False
    prompt, tokens = data.get("prompt"), data.get("max_tokens", _DEFAULT_TOKENS)
    return (
        type(prompt) is str
        and 0 < len(prompt) <= _MAX_CHARS
        and not prompt.isspace()
        and not UNSTORABLE.search(prompt)
        and type(tokens) is int
        and 1 <= tokens <= _MAX_TOKENS
        and type(data.get("auto_route", False)) is bool
    )


def _is_simple_session(session: Any) -> bool:
    return (
        type(session) is str
        and 0 < len(session) <= _LONGEST_SESSION
        and not session.isspace()
        and not UNSTORABLE.search(session)
    )


class CompleteEndpoint:
    """Answers ``POST /complete``; ``in_background`` runs work on a thread."""

    def __init__(
        self,
        routing: RoutingService,
        in_background: Callable[..., Awaitable[object]],
        brakes: SessionBrakes,
        deferral: Deferral,
    ) -> None:
        self._deferral = deferral
        self._brakes = brakes
        self._routing = routing
        self._in_background = in_background

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.routing, services.in_background, services.brakes, services.deferral)

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the answer. Raises what :meth:`RoutingService.complete` does."""
        data, client = api_request.data, api_request.client
        large = api_request.large
        fields = await asyncio.to_thread(read_complete, data) if large else read_complete(data)
        own = Delivery(
            fields.get("deadline"), fields.get("async", False), fields.get("webhook", "")
        )
        delivery = read_delivery(own, api_request.header)
        session = fields.get("session") or ""
        if not session and (header := api_request.header("x-session-id")):
            session = storable_id(header)
        if session:
            self._brakes.must_go_on(SessionKey(client.tenant, session))
        warnings: Sequence[str] = ()
        if self._brakes.soft_limits:
            warnings = self._brakes.soft_warnings(client, session, client.user)
        request = self._routing.request_of_prompt(
            fields["prompt"],
            max_tokens=fields.get("max_tokens", _DEFAULT_TOKENS),
            auto_route=fields.get("auto_route", client.auto_route),
            max_latency=fields.get("max_latency"),
            deadline=delivery.deadline,
            accepts_later=delivery.accepts_later,
            webhook=delivery.webhook,
            request_id=api_request.request_id,
            client=client,
            session=Session(session) if session else NO_SESSION,
            turn=HUMAN,
        )
        named = api_request.header(RESIDENCY_HEADER)
        if named or "residency" in fields:
            residency = residency_of(named) | fields.get("residency", NO_RESIDENCY)
            request = within_regions(request, residency)
        if request.accepts_later:
            offered = await self._deferral.offer(request, sent_of(api_request))
            if isinstance(offered, DeferredRequest):
                return accepted_reply(offered, warning_header(warnings) if warnings else None)
            request = offered
        result = await self._routing.complete(request)
        body = completion_body(result)
        if tokenizer_id := fields.get("tokenizer_id"):
            count = await self._in_background(
                count_with_tokenizer,
                tokenizer_id,
                fields["prompt"],
                result.response,
                Path(settings.TOKENIZERS_DIR),
            )
            assert isinstance(count, TokenizerCount)
            body.update(tokenizer_body(count))
        return JsonReply(body, headers=warning_header(warnings) if warnings else {})

    def failed(self, request_id: uuid.UUID, error: Exception) -> JsonReply:
        """Return the reply that reports ``error``."""
        return reply_to(error, request_id)


def completion_body(result: CompletionResult) -> dict[str, Any]:
    """Return the JSON answer of ``POST /complete``."""
    decision, completion = result.decision, result.completion
    body = {
        "response": completion.text,
        "provider": completion.provider,
        "model": completion.model,
        "strategy_used": decision.strategy_used,
        "confidence": decision.confidence,
        "complexity_metadata": {
            "complexity": result.complexity,
            "token_count": result.token_count,
        },
        "routing_metadata": {
            **decision.metadata,
            "reasoning": decision.reasoning,
            "fallback_used": decision.fallback_used,
        },
        "tokens_in": completion.usage.input_tokens,
        "tokens_out": completion.usage.output_tokens,
        "cost": result.cost,
        "price_basis": result.price_basis,
        "total_cost_today": result.total_cost_today,
        "cache_hit": result.cache_hit,
        "cache_key": result.cache_key,
        "original_cost": result.original_cost,
        "savings": result.savings,
        "request_id": result.request_id,
    }
    if result.list_cost is not None:
        body["list_cost"] = result.list_cost
    return body


def tokenizer_body(count: TokenizerCount) -> dict[str, Any]:
    """Return what a ``tokenizer_id`` adds to the answer."""
    body: dict[str, Any] = {
        "tokenizer_tokens_in": count.tokens_in,
        "tokenizer_tokens_out": count.tokens_out,
        "tokenizer_bytes_per_token": count.bytes_per_token,
        "tokenizer_tokens_per_byte": count.tokens_per_byte,
    }
    if count.note:
        body["tokenizer_note"] = count.note
    return body


class CompletionViewSet(EndpointViewSet):
    """Serves ``POST /complete``."""

    endpoint = CompleteEndpoint

    @extend_schema(
        operation_id="complete",
        summary="Complete a prompt",
        tags=["completion"],
        request=CompleteInput,
        responses={
            200: CompleteBody,
            202: DeferredBody,
            400: ErrorBody,
            403: ErrorBody,
            413: ErrorBody,
            415: ErrorBody,
            503: ErrorBody,
            504: ErrorBody,
        },
        examples=[
            OpenApiExample(
                "A question",
                value={"prompt": "What is the capital of France?"},
                request_only=True,
            ),
            OpenApiExample(
                "Learned routing",
                value={
                    "prompt": "Compare two designs for a rate limiter.",
                    "max_tokens": 800,
                    "auto_route": True,
                },
                request_only=True,
            ),
            OpenApiExample(
                "An answer",
                value={
                    "response": "The capital of France is Paris.",
                    "provider": "claude",
                    "model": "claude-haiku-5-5",
                    "strategy_used": "complexity",
                    "confidence": "high",
                    "complexity_metadata": {"complexity": 0.0, "token_count": 8},
                    "routing_metadata": {"pattern": "factual", "tier": "simple"},
                    "tokens_in": 14,
                    "tokens_out": 9,
                    "cost": 0.0000059,
                    "price_basis": "table",
                    "total_cost_today": 0.0000059,
                    "cache_hit": False,
                    "cache_key": "0d6c…",
                    "original_cost": 0.0000059,
                    "savings": 0.0,
                    "request_id": "019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11",
                },
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a prompt with the cheapest model that is good enough."""
        return await self.serve(request)
