"""What the catalogue says of pools: their members, and how one is chosen for a call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from providers.provider_spec import CatalogueError, ProviderSpec
from providers.residency import ResidencyError, read_regions

Choice = Literal["weights", "least_busy", "fastest", "most_left"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_MEMBER_FIELDS = frozenset({
    "name", "provider", "key_env", "base_url", "base_url_env", "settings", "regions", "weight",
    "committed", "most_at_once", "models",
})  # fmt: skip
_MOST_WEIGHT = 10_000
COMMITTED_TIER = "provisioned"
"""The service tier of capacity that was bought ahead: its calls cost nothing more."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """A member of a pool: ``provider`` is how it is called, under the name of the pool's provider.

    ``regions`` are the places in which it keeps all data. A ``committed`` member is capacity that
    was bought ahead, which is used before the others. ``most_at_once`` bounds its calls in
    progress, ``None`` for no bound. ``models`` are the only ones that it has, ``None`` for all.
    """

    name: str
    provider: ProviderSpec
    weight: float = 1.0
    regions: frozenset[str] = frozenset()
    committed: bool = False
    most_at_once: int | None = None
    models: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool of members for the models of one provider; ``choose`` is how one is preferred."""

    provider: str
    members: tuple[MemberSpec, ...]
    choose: Choice = "weights"


def regions_of(where: str, value: Any) -> frozenset[str]:
    """Return the regions of an entry. Raises :class:`CatalogueError`."""
    try:
        return read_regions(value)
    except ResidencyError as error:
        raise CatalogueError(f"{where}: regions {error}") from None


def read_pools(
    path: str, entries: Any, providers: Mapping[str, ProviderSpec]
) -> dict[str, PoolSpec]:
    """Return the pools of ``[pools.NAME]`` by provider. Raises :class:`CatalogueError`."""
    if not isinstance(entries, dict):
        raise CatalogueError(f"{path}: pools must be tables [pools.PROVIDER]")
    return {name: _pool(f"{path}: pool {name}", name, e, providers) for name, e in entries.items()}


def _pool(where: str, name: str, entry: Any, providers: Mapping[str, ProviderSpec]) -> PoolSpec:
    if name not in providers:
        raise CatalogueError(f"{where}: there is no provider of this name")
    if not isinstance(entry, dict) or set(entry) - {"choose", "members"}:
        raise CatalogueError(f"{where}: may only have choose and members")
    choose = entry.get("choose", "weights")
    if choose not in CHOICES:
        raise CatalogueError(f"{where}: choose must be one of {', '.join(CHOICES)}")
    raw = entry.get("members", [])
    if not isinstance(raw, list) or len(raw) < 1:
        raise CatalogueError(f"{where}: needs [[pools.{name}.members]]")
    members = tuple(_member(where, name, member, providers) for member in raw)
    if len({member.name for member in members}) < len(members):
        raise CatalogueError(f"{where}: two members have the same name")
    kinds = {member.provider.wire.partition("-")[0] for member in members}
    if "local" in kinds:
        raise CatalogueError(f"{where}: the embedded model takes part in no pool")
    return PoolSpec(name, members, choose)


def _member(pool: str, owner: str, entry: Any, providers: Mapping[str, ProviderSpec]) -> MemberSpec:
    if not isinstance(entry, dict) or not _NAME.fullmatch(str(entry.get("name", ""))):
        raise CatalogueError(f"{pool}: a member needs a name of letters, digits, '.', '_', '-'")
    where = f"{pool}: member {entry['name']}"
    if unknown := set(entry) - _MEMBER_FIELDS:
        raise CatalogueError(f"{where}: unknown field {min(unknown)}")
    base = providers.get(entry.get("provider", owner))
    if base is None:
        raise CatalogueError(f"{where}: there is no provider {entry['provider']}")
    regions = regions_of(where, entry["regions"]) if "regions" in entry else base.regions
    models = entry.get("models")
    if models is not None and not _are_names(models):
        raise CatalogueError(f"{where}: models must be a list of names")
    return MemberSpec(
        name=entry["name"],
        provider=_called(where, owner, base, entry),
        weight=_number(where, entry, "weight", 1.0),
        regions=regions,
        committed=_flag(where, entry, "committed"),
        most_at_once=_most_at_once(where, entry),
        models=None if models is None else frozenset(models),
    )


def _called(where: str, owner: str, base: ProviderSpec, entry: dict[str, Any]) -> ProviderSpec:
    """Return the provider of a member: ``base`` with the member's own key, address, settings."""
    keys = entry.get("key_env", list(base.key_env))
    keys = [keys] if isinstance(keys, str) else keys
    settings = entry.get("settings", {})
    texts = (entry.get("base_url", ""), entry.get("base_url_env", ""))
    if not _are_names(keys) or not all(isinstance(text, str) for text in texts):
        raise CatalogueError(f"{where}: key_env, base_url and base_url_env must be texts")
    if not isinstance(settings, dict) or not _are_names(list(settings.values())):
        raise CatalogueError(f"{where}: settings must be a table of names of variables")
    return replace(
        base,
        name=owner,
        key_env=tuple(keys),
        base_url=entry.get("base_url", base.base_url),
        # An address of its own must not be overridden by the variable of another.
        base_url_env=entry.get("base_url_env", "" if "base_url" in entry else base.base_url_env),
        settings={**base.settings, **settings},
        needs=_needs(base, entry),
    )


def _needs(base: ProviderSpec, entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the variables that configure a member of a cloud, by its own names."""
    renamed = {v: entry["settings"][n] for n, v in base.settings.items()
               if n in entry.get("settings", {})}  # fmt: skip
    if "base_url_env" in entry:
        renamed[base.base_url_env] = entry["base_url_env"]
    if "key_env" in entry and base.key_env:
        own = entry["key_env"]
        renamed[base.key_env[0]] = own if isinstance(own, str) else own[0]
    kept = (n for n in base.needs if not ("base_url" in entry and n == base.base_url_env))
    return tuple(dict.fromkeys(renamed.get(name, name) for name in kept))


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _number(where: str, entry: dict[str, Any], name: str, default: float) -> float:
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CatalogueError(f"{where}: {name} must be a number")
    if not 0 < value <= _MOST_WEIGHT:
        raise CatalogueError(f"{where}: {name} must be above 0 and at most {_MOST_WEIGHT}")
    return float(value)


def _flag(where: str, entry: dict[str, Any], name: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        raise CatalogueError(f"{where}: {name} must be true or false")
    return value


def _most_at_once(where: str, entry: dict[str, Any]) -> int | None:
    value = entry.get("most_at_once")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CatalogueError(f"{where}: most_at_once must be a whole number of calls above 0")
    return value
