"""The providers and models in force: the environment first, then what operators have set."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import DatabaseError

from analytics.access.audit import Actor
from analytics.models import ProviderKey
from analytics.operation.model_switches import model_switch, model_switches_version, models_off
from analytics.operation.provider_keys import (
    is_readable,
    provider_key_add,
    provider_key_remove,
    provider_keys_stored,
    provider_keys_version,
)
from optimizer.shared.pools.members import SharedMembers
from optimizer.shared.snapshot import Snapshot
from optimizer.shared.spared_keys import SharedKeys
from optimizer.wiring.operation.catalogue_models import ActiveCatalogue
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget
from providers.catalogue import Catalogue, ProviderSpec
from providers.key_sources import key_variable, takes_stored_keys, with_stored_keys
from providers.registry import ProviderRegistry
from providers.request_circuits import key_circuit
from providers.resilience import ResilientCaller
from routing.models import ModelRef

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderStanding:
    """A provider of the catalogue, and where its keys come from.

    ``set_by`` is the variable of the environment that sets its keys, "" if none does; ``stored``
    are the keys that operators have set, used unless the environment sets some. ``takes_keys`` is
    whether a stored key can configure it.
    """

    spec: ProviderSpec
    configured: bool
    circuit: str
    takes_keys: bool
    set_by: str
    stored: list[ProviderKey]

    def unused_because(self, key: ProviderKey) -> str:
        """Return why a stored key is not used, "" if it is."""
        if not is_readable(key):
            return "it cannot be decrypted: enter it again"
        return f"{self.set_by} is set in the environment" if self.set_by else ""


class ActiveProviders:
    """Keeps providers and models as operators have set them; ``refresh`` reads the database.

    ``uses_local`` returns whether the embedded model is offered in an environment. ``models`` keeps
    what the models are.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        environment: Mapping[str, str],
        registry: ProviderRegistry,
        caller: ResilientCaller,
        pools: SharedKeys,
        members: SharedMembers,
        uses_local: Callable[[Mapping[str, str]], bool],
        models: ActiveCatalogue,
    ) -> None:
        self.models = models
        self._catalogue = catalogue
        self._environment = self._running = environment
        self._registry = registry
        self._caller = caller
        self._pools = pools
        self._members = members
        self._uses_local = uses_local
        self._keys = Snapshot(provider_keys_stored, provider_keys_version)
        self._off = Snapshot(models_off, model_switches_version)
        self._keys_in_force: list[ProviderKey] | None = None
        self._off_in_force: frozenset[ModelRef] | None = None
        # The refresher and the pages that change something may come at the same time.
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Put into force what has changed; return whether anything has.

        What an error prevents is tried again by the next call.
        """
        with self._lock:
            changed = self.models.refresh()
            self._keys.refresh()
            self._off.refresh()
            keys, off = self._keys.value, self._off.value
            if keys is self._keys_in_force and off is self._off_in_force:
                return changed
            if keys is not self._keys_in_force:
                self._configure(keys or [])
            self._caller.switched_off = off or frozenset()
            self._caller.count_change()
            self._keys_in_force, self._off_in_force = keys, off
        return True

    def running_environment(self) -> Mapping[str, str]:
        """Return the environment with the stored keys that it does not override, as of now."""
        self.refresh()
        return self._running

    def standings(self) -> list[ProviderStanding]:
        """Return every provider of the catalogue, configured ones first. Reads the database."""
        self.refresh()
        stored: dict[str, list[ProviderKey]] = {}
        for key in provider_keys_stored():
            stored.setdefault(key.provider, []).append(key)
        standings = [
            self._standing(spec, stored.get(name, []))
            for name, spec in self._catalogue.providers.items()
        ]
        return sorted(standings, key=lambda standing: not standing.configured)

    def standing(self, provider: str) -> ProviderStanding:
        """Return one provider. Raises :class:`UnknownTarget`."""
        self.refresh()
        return self._standing(self._spec(provider), provider_keys_stored(provider))

    def add_key(self, provider: str, secret: str, *, note: str = "", who: Actor) -> ProviderKey:
        """Store a key of a provider, and use it on this worker at once.

        Raises :class:`UnknownTarget`, :class:`SetElsewhere`, and Django's ``ValidationError``.
        """
        spec = self._spec(provider)
        if not takes_stored_keys(spec, self._environment):
            raise ValidationError(
                {"provider": f"{provider} takes no key alone; set its variables in the environment"}
            )
        if variable := key_variable(spec, self._environment):
            raise SetElsewhere(f"The keys of {provider} are set by {variable}, which wins.")
        key = provider_key_add(provider, secret, note=note, who=who)
        self.refresh()
        return key

    def remove_key(self, provider: str, number: int, *, who: Actor) -> None:
        """Delete a stored key: this worker begins no call with it. Raises :class:`UnknownTarget`.

        It can be deleted although the environment wins.
        """
        key = next((key for key in provider_keys_stored() if key.pk == number), None)
        key = key if key is not None and key.provider == provider else None
        if key is None or not provider_key_remove(key, who=who):
            raise UnknownTarget(f"{provider} has no stored key {number}.")
        self.refresh()

    def switch(self, ref: ModelRef, *, off: bool, who: Actor) -> bool:
        """Switch a model of the catalogue off or on; return whether that changes anything.

        Raises :class:`UnknownTarget`.
        """
        spec = self._catalogue.find(*ref)
        if spec is None:
            raise UnknownTarget(f"The catalogue has no model {ref}.")
        changed = model_switch(ModelRef(spec.provider, spec.id), off=off, who=who)
        self.refresh()
        return changed

    def _spec(self, provider: str) -> ProviderSpec:
        spec = self._catalogue.providers.get(provider)
        if spec is None:
            raise UnknownTarget(f"The catalogue has no provider {provider!r}.")
        return spec

    def _standing(self, spec: ProviderSpec, stored: list[ProviderKey]) -> ProviderStanding:
        configured = spec.name in self._caller.providers
        return ProviderStanding(
            spec,
            configured,
            self._caller.circuit_state(spec.name) if configured else "",
            takes_stored_keys(spec, self._environment),
            key_variable(spec, self._environment),
            stored,
        )

    def _configure(self, keys: list[ProviderKey]) -> None:
        before = dict(self._registry.providers)
        environment = _with_readable(self._catalogue, self._environment, keys)
        self._running = environment
        self._registry.configure(environment, local=self._uses_local(environment))
        self._pools.follow(self._registry.key_pools())
        self._members.follow()
        for name, client in self._registry.providers.items():
            if before.get(name) is not client:
                # What the old keys were refused says nothing of the new ones.
                self._caller.circuits.reset(key_circuit(name))


def environment_with_stored_keys(catalogue: Catalogue) -> Mapping[str, str]:
    """Return the environment with stored keys of providers, for what runs without the services.

    Without the database, it is the environment alone.
    """
    try:
        keys = provider_keys_stored()
    except DatabaseError as error:
        logger.warning("Stored keys of providers cannot be read (%s)", type(error).__name__)
        keys = []
    return _with_readable(catalogue, os.environ, keys)


def _with_readable(
    catalogue: Catalogue, environment: Mapping[str, str], keys: list[ProviderKey]
) -> Mapping[str, str]:
    """Return the environment with the keys that can be decrypted; the others are logged."""
    stored: dict[str, list[str]] = {}
    for key in keys:
        if is_readable(key):
            stored.setdefault(key.provider, []).append(key.secret)
        else:
            logger.error("The stored key %s cannot be decrypted. It is not used.", key)
    return with_stored_keys(catalogue.providers.values(), environment, stored)
