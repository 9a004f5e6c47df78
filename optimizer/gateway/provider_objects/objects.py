"""Whose the objects are that providers keep: checked before a call, remembered after it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from analytics.budgets.claims import Charge, Claim
from analytics.budgets.holding import has_left
from analytics.database.aside import DatabaseThread
from analytics.models import ProviderObject
from analytics.money import SMALLEST_USD
from analytics.provider_objects import (
    object_find,
    object_forget,
    objects_count,
    objects_of,
    objects_remember,
)
from analytics.reports.sessions import response_session
from optimizer.budgets.reservations import Budgets
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.result import NotAllowed, UnknownObject
from optimizer.gateway.provider_objects.batch_holds import BatchHolds
from optimizer.gateway.provider_objects.settlement import Settlement, has_ended, state_of
from providers.known_models import KnownModels
from routing.rules import names

logger = logging.getLogger(__name__)

Kind = ProviderObject.Kind


class ProviderObjects:
    """Knows the owners of objects. A client without a key sees all, as there are no tenants."""

    def __init__(
        self,
        database: DatabaseThread,
        settlement: Settlement,
        budgets: Budgets,
        models: KnownModels,
    ) -> None:
        self._database = database
        self.settlement = settlement
        self._budgets = budgets
        self._models = models
        self.holds = BatchHolds(database, budgets)

    async def find(self, kind: str, object_id: str, client: Client) -> ProviderObject | None:
        """Return what is known of an object.

        Raises :class:`optimizer.domain.result.UnknownObject` if it is not the client's.
        """
        kept = await self._database.run(partial(object_find, kind, object_id, _tenant(client)))
        if kept is None and client is not ANONYMOUS:
            raise UnknownObject(f"{kind.capitalize()} with id '{object_id}' not found.")
        return kept

    async def session_of_response(self, response_id: str, client: Client) -> str:
        """Return the session of an answer that a provider stores, empty if it is not known."""
        return await self._database.run(partial(response_session, response_id, client.tenant))

    async def batch_of(self, file: ProviderObject) -> ProviderObject | None:
        """Return the batch whose results the file holds."""
        if not file.parent:
            return None
        return await self._database.run(partial(object_find, Kind.BATCH, file.parent, None))

    async def own(self, kind: str, ids: Collection[str], client: Client) -> Collection[str]:
        """Return which of ``ids`` the client may see."""
        if client is ANONYMOUS:
            return ids
        return await self._database.run(partial(objects_of, kind, ids, client.tenant))

    async def count(self, kind: str, provider: str, client: Client) -> int:
        """Return how many objects at the provider are the client's."""
        return await self._database.run(partial(objects_count, kind, provider, client.tenant))

    async def created(
        self, kind: str, provider: str, body: Mapping[str, Any], client: Client, model: str = "",
        held: uuid.UUID | None = None,
    ) -> None:  # fmt: skip
        """Remember whose a new object is; a batch has costs to come, for which money is held."""
        object_id = body.get("id")
        if not isinstance(object_id, str) or not object_id:
            return
        kept = _kept(kind, provider, object_id, client, model=model[:128])
        if kind == Kind.BATCH:
            kept.recorded, kept.state, kept.request_id = False, state_of(body)[:40], held
            kept.model = kept.model or _text(body.get("model"))[:128]
        await self._remember([kept])

    async def response_given(
        self, provider: str, model: str, body: Mapping[str, Any], client: Client,
        request_id: uuid.UUID,
    ) -> None:  # fmt: skip
        """Remember a response that its provider stores.

        The usage of one that it still works on is added to the row of the request later.
        """
        object_id = body.get("id")
        unfinished = bool(state_of(body)) and not has_ended(Kind.RESPONSE, body)
        if not isinstance(object_id, str) or (client is ANONYMOUS and not unfinished):
            return
        kept = _kept(Kind.RESPONSE, provider, object_id, client, model=model)
        kept.state, kept.recorded, kept.request_id = state_of(body)[:40], not unfinished, request_id
        await self._remember([kept])

    async def seen(self, kept: ProviderObject, body: Mapping[str, Any]) -> None:
        """Remember the result files of a batch, and record what has ended."""
        if kept.kind == Kind.BATCH:
            files = [body.get(name) for name in ("output_file_id", "error_file_id")]
            new = [
                ProviderObject(
                    provider=kept.provider, kind=Kind.FILE, object_id=file_id,
                    parent=kept.object_id, tenant=kept.tenant, api_key=kept.api_key,
                    user_id=kept.user_id, project=kept.project,
                )
                for file_id in files
                if isinstance(file_id, str) and file_id
            ]  # fmt: skip
            if new:
                await self._remember(new)
        if not kept.recorded and has_ended(kept.kind, body):
            # A client that asks again finds it recorded; nobody waits long for large results.
            await self.settlement.settle(kept, body, seconds=2)

    async def deleted(self, kind: str, provider: str, object_id: str) -> None:
        """Forget an object that no longer exists."""
        await self._database.run(partial(object_forget, kind, provider, object_id))

    async def admit(self, provider: str, models: Iterable[str], client: Client) -> None:
        """Check that the client may use the models, and that its budgets have something left.

        An empty name is a model that is not known. Raises
        :class:`optimizer.domain.result.NotAllowed` and
        :class:`optimizer.domain.result.BudgetExceeded`.
        """
        wanted = list(dict.fromkeys(models)) or [""]
        for model in wanted:
            spec = self._models.find(provider, model) if model else None
            name = spec.id if spec else model
            known_as = spec.snapshot_of if spec else ""
            if client.models and not names(client.models, provider, name, known_as):
                what = f"the model '{name}'" if name else "a batch whose models are not known here"
                raise NotAllowed(f"This API key does not allow {what}.")
        if self._budgets.any:
            for model in wanted:
                await self._check_budgets(provider, model, client)

    async def _check_budgets(self, provider: str, model: str, client: Client) -> None:
        request_id = new_request_id()
        payer = self._budgets.payer_of_client(client)
        charges = (Charge(provider, model, SMALLEST_USD),)
        claim = Claim(
            request_id, datetime.now(UTC), payer, charges, f"{provider}/{model}",
            self._budgets.worker, first=True,
        )  # fmt: skip
        refusals = await self._database.run(partial(has_left, claim))
        if refusals:
            raise self._budgets.exceeded(refusals, request_id)

    async def _remember(self, objects: list[ProviderObject]) -> None:
        try:
            await self._database.run(partial(objects_remember, objects))
        except Exception as error:
            # The provider has done its work: the client gets the answer.
            kinds = ", ".join(f"{kept.kind} of {kept.provider}" for kept in objects)
            logger.error("The owner of a %s could not be stored", kinds, exc_info=error)


def _kept(
    kind: str, provider: str, object_id: str, client: Client, *, model: str
) -> ProviderObject:
    return ProviderObject(
        provider=provider, kind=kind, object_id=object_id[:200], tenant=client.tenant,
        api_key=client.key, user_id=client.user, project=client.project, tags=list(client.tags),
        model=model,
    )  # fmt: skip


def _tenant(client: Client) -> str | None:
    return None if client is ANONYMOUS else client.tenant


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
