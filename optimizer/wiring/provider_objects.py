"""Builds what knows of the objects that providers keep, and looks after them periodically."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from analytics.database.aside import DatabaseThread
from analytics.ledger.ledger import Observer
from analytics.models import ProviderObject
from optimizer.gateway.provider_objects.settlement import Settlement
from providers.catalogue import Catalogue
from providers.http.transport import ConnectionSettings
from providers.known_models import KnownModels
from providers.pricing import PriceBook
from providers.registry import ProviderRegistry


def upkeep_of_objects(
    catalogue: Catalogue,
    prices: PriceBook,
    models: KnownModels,
    connection: ConnectionSettings,
    observers: Sequence[Observer],
    environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
) -> Callable[[], None]:
    """Return the task that asks providers for what has ended; it runs on a thread of its own.

    ``environment`` returns the keys of providers as they are then; it reads the database.
    It has connections of its own, as those of the requests belong to their event loop.
    """

    async def check(keys: Mapping[str, str]) -> None:
        registry = ProviderRegistry(catalogue, keys, connection)
        database = DatabaseThread("object-upkeep")
        try:
            settlement = Settlement(database, registry.providers, prices, models, observers)
            await settlement.check_due()
        finally:
            await registry.aclose()
            await asyncio.to_thread(database.close)

    def run() -> None:
        if ProviderObject.objects.filter(recorded=False).exists():
            asyncio.run(check(environment()))

    return run
