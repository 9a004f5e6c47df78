"""Builds the gateway's requests from the chats of all client APIs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace

from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.identifiers import CHAT, Session, session_of
from optimizer.domain.model_names import ModelNames, Selection, UnconfiguredModel
from optimizer.domain.options import RequestOptions, cache_policy, chat_key, semantic_key
from optimizer.domain.request import GatewayRequest, prompt_of, storable_id
from optimizer.domain.request_bounds import (
    RESIDENCY_HEADER,
    apply_client,
    residency_of,
    within_regions,
)
from optimizer.domain.turns import SIDE_KINDS, kind_of_turn
from optimizer.gateway.prompt_cache import cache_session, goes_on
from optimizer.policies.levers import ActiveLevers
from providers import features
from providers.anthropic.client import AnthropicProvider
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.errors import ProviderError
from providers.gemini.client import GeminiProvider
from providers.residency import NO_RESIDENCY
from providers.resilience import ResilientCaller
from providers.storable import storable_text
from providers.values import changed, frozen
from routing.rules import NO_EFFECT, Effect

logger = logging.getLogger(__name__)
# The largest limit, in tokens, and the most stop sequences that a client's request may have.
MAX_TOKENS = 10_000_000
MAX_STOPS = 1000
# A count is quick, unlike an answer, and an estimate serves as well.
_MOST_SECONDS_TO_COUNT = 30.0
_MANY_MESSAGES = 1_000

# With these a provider says what is wrong with a request, not with itself or its key.
_ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})


def _no_header(name: str) -> str:
    return ""


def _never(agent: str) -> bool:
    return False


@frozen
class ChatQuery:
    """A chat request of a client API: the ``model`` it names, the chat and its options."""

    model: str
    chat: Chat
    options: RequestOptions
    streamed: bool = False


class ChatRequestBuilder:
    """Builds gateway requests.

    ``hottest`` is the highest temperature at which answers are cached, ``None`` if none are.
    ``semantic`` is whether the semantic cache is on. ``agents_without_vendor`` lets a known
    agent have any model (``auto``) where its vendor's provider is not configured.
    ``cheap_side_requests`` sends titles and other side requests of agents to the cheapest model.
    The lever ``cache_marks`` lets providers cache conversations that are expected to go on, for an
    hour where ``for_an_hour`` of their agent is true.
    """

    def __init__(
        self,
        names: ModelNames,
        caller: ResilientCaller,
        *,
        hottest: float | None,
        semantic: bool = False,
        agents_without_vendor: bool = True,
        cheap_side_requests: bool = True,
        for_an_hour: Callable[[str], bool] = _never,
        levers: ActiveLevers | None = None,
    ) -> None:
        self._for_an_hour = for_an_hour
        self._levers = levers or ActiveLevers({}, list)
        self._cheap_side_requests = cheap_side_requests
        self.names = names
        self._caller = caller
        self._hottest = hottest
        self._semantic = semantic
        self._agents_without_vendor = agents_without_vendor

    def build(
        self,
        query: ChatQuery,
        *,
        endpoint: str,
        request_id: uuid.UUID,
        client: Client = ANONYMOUS,
        header: Callable[[str], str] = _no_header,
        continued: str = "",
        strict: bool = False,
        large: bool = False,
    ) -> GatewayRequest:
        """Return the gateway request of a client's chat.

        A ``strict`` request goes only to models that leave out nothing of it. It is strict if
        the client's key or the request's own options say so, too. ``large`` is whether the body
        was large, so that this is called on a thread. ``header`` returns a header of the request
        by its lower-case name. ``continued`` is the session of the answer that the request goes
        on from, empty if it names none.

        Raises :class:`optimizer.domain.model_names.UnknownModel`.
        """
        chat, options = query.chat, query.options
        if large or len(chat.messages) > _MANY_MESSAGES:
            chat = chat.as_large()
            features.needs(chat)  # found here, on a thread
        if strict or client.strict:
            options = replace(options, strict=True)
        session = session_of(
            chat, header, own=options.session_id, key=client.key, continued=continued
        )
        selection = self._selection(query.model, endpoint, session)
        turn = kind_of_turn(chat, session, header)
        if selection.strategy == "named":
            chat = changed(chat, chosen=False)
        may_go_on = session.agent != CHAT or len(chat.messages) > 1
        marking = "off"
        if may_go_on and goes_on(chat, session, turn):
            marking = self._levers.mode("cache_marks")
            if marking == "on":
                chat = self._marked(chat, client, session)
        words = prompt_of(chat)
        prompt = storable_text(words)
        request = GatewayRequest(
            chat=chat,
            prompt=prompt,
            prompt_hash=hashlib.sha256(prompt.encode()).hexdigest() if large else "",
            cache_key=chat_key(chat, options),
            semantic_key=self._semantic_key(chat, options, words),
            strategy=selection.strategy
            if session.agent == CHAT
            else self._strategy(selection.strategy, turn),
            endpoint=endpoint,
            requested_model=query.model,
            only=selection.only,
            baseline=self.names.one(options.baseline) if options.baseline else None,
            min_quality=options.quality_target,
            max_cost=options.max_cost,
            max_latency=options.max_latency,
            deadline=options.delivery.deadline,
            accepts_later=options.delivery.accepts_later,
            webhook=options.delivery.webhook,
            tags=options.tags,
            user_id=storable_id(chat.user),
            session=session,
            turn=turn,
            cache=cache_policy(chat, options, hottest=self._hottest),
            streamed=query.streamed,
            strict=options.strict,
            request_id=request_id,
        )
        request = apply_client(request, client)
        residency = options.residency
        if named := header(RESIDENCY_HEADER):
            residency |= residency_of(named)
        if residency:
            request = within_regions(request, residency)
        return self._marks_tried(request) if marking == "prove" else request

    def _marked(self, chat: Chat, client: Client, session: Session) -> Chat:
        key = cache_session(client, session)
        return changed(chat, cache_session=key, cache_hour=self._for_an_hour(session.agent))

    def _marks_tried(self, request: GatewayRequest) -> GatewayRequest:
        trial = self._levers.draw("cache_marks", request)
        if trial is None:  # switched off since
            return request
        chat = request.chat
        if trial.treated:
            chat = self._marked(chat, request.client, request.session)
        return replace(request, chat=chat, trials=(*request.trials, trial))

    def _selection(self, model: str, endpoint: str, session: Session) -> Selection:
        try:
            return self.names.select(model, endpoint)
        except UnconfiguredModel:
            if session.agent == CHAT or not self._agents_without_vendor:
                raise
            # Agents ask for their vendor's models in places where nobody can name another.
            return self.names.select("auto", endpoint)

    def _strategy(self, strategy: str, turn: str) -> str:
        """Return an agent's strategy: side requests go to the cheapest model that can serve."""
        cheap = self._cheap_side_requests and turn in SIDE_KINDS
        return "cheapest" if cheap and strategy == "hybrid" else strategy

    def _semantic_key(self, chat: Chat, options: RequestOptions, words: str) -> str:
        if not self._semantic or not options.semantic_cache:
            return ""
        if not chat.messages or chat.messages[-1].text != words:
            return ""  # the context around the words may differ where the words do not
        return semantic_key(chat, options)

    def wire_of(self, provider: str) -> str:
        """Return the wire of a configured provider; empty if it is not configured any more."""
        return self._caller.wire_of(provider)

    def holds_thread(self, name: str, wire: str) -> bool:
        """Return whether all that the model ``name`` may stand for is reached over ``wire``.

        Raises :class:`optimizer.domain.model_names.UnknownModel`.
        """
        only = self.names.select(name).only
        return only is not None and all(self.wire_of(ref.provider) == wire for ref in only)

    async def count_tokens(self, query: ChatQuery, effect: Effect = NO_EFFECT) -> int:
        """Return the input tokens of ``query``, within the regions and models of ``effect``.

        The named model's provider counts them if it does so for free; else they are estimated.
        Raises :class:`optimizer.domain.model_names.UnknownModel`, and
        :class:`providers.errors.ProviderError` if the provider refuses the request.
        """
        for ref in self.names.select(query.model, "messages").only or ():
            provider_name, model = ref
            provider = self._caller.providers[provider_name]
            if self._caller.guard is not None:
                break  # nothing is sent past it
            if not effect.residency <= self._caller.regions.get(provider_name, NO_RESIDENCY):
                continue
            if self.names.exclusion_reason(ref, effect):
                continue
            if isinstance(provider, (AnthropicProvider, GeminiProvider)):
                try:
                    async with asyncio.timeout(_MOST_SECONDS_TO_COUNT):
                        return await provider.count_tokens(CompletionRequest(model, query.chat))
                except TimeoutError:
                    logger.warning("Tokens are estimated, as counting took too long")
                except ProviderError as error:
                    source = query.chat.source
                    own = source is not None and source.wire == provider.wire
                    if own and error.status in _ABOUT_THE_REQUEST:
                        raise
                    logger.warning("Tokens are estimated, as counting failed: %s", error)
        return query.chat.estimated_tokens()
