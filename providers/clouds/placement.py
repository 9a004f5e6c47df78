"""What the environment says of clouds: which models are deployed, and where calls are served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from providers.catalogue import Catalogue, CatalogueError, ModelSpec, ProviderSpec
from providers.clouds.deployments import DeploymentsError, read_deployments
from providers.pools.spec import PoolSpec

_ANYWHERE = "global"


def placed(catalogue: Catalogue, environment: Mapping[str, str]) -> Catalogue:
    """Return the catalogue with the clouds as the environment has them.

    Deployed models are those of the provider that makes them, if the catalogue has them there.
    Names of Bedrock's global profiles become those of the profile that is set. Raises
    :class:`providers.catalogue.CatalogueError`, which names the variable.
    """
    clouds = {name: spec for name, spec in catalogue.providers.items() if spec.settings}
    specs = {name: _placed(spec, environment) for name, spec in clouds.items()}
    profiles = {
        name: profile
        for name, spec in clouds.items()
        if (profile := _value(spec, "profile", environment)) and profile != _ANYWHERE
    }
    models = [
        replace(model, id=_of_profile(model.id, profiles[model.provider]))
        if model.provider in profiles
        else model
        for model in catalogue.all_models
    ]
    models.sort(key=lambda model: model.rank)
    known = {(model.provider, model.id) for model in models}
    for spec in specs.values():
        models += [
            replace(model, rank=len(models) + place)
            for place, model in enumerate(_deployed(catalogue, spec))
            if (model.provider, model.id) not in known
        ]
    of_file = frozenset(
        (name, _of_profile(model, profiles[name]) if name in profiles else model)
        for name, model in catalogue.of_file
    )
    providers = {**catalogue.providers, **specs}
    pools = {name: _with_places(pool, environment) for name, pool in catalogue.pools.items()}
    return Catalogue.of(providers, tuple(models), catalogue.price_rules, of_file, pools)


def _placed(spec: ProviderSpec, environment: Mapping[str, str]) -> ProviderSpec:
    place = _value(spec, "geography", environment).lower()
    try:
        deployments = read_deployments(_value(spec, "deployments", environment))
    except DeploymentsError as error:
        raise CatalogueError(f"{spec.settings['deployments']}: {error}") from None
    return replace(
        spec,
        geography="" if place == _ANYWHERE else place,
        served=None if deployments is None else frozenset(deployments),
    )


def _with_places(pool: PoolSpec, environment: Mapping[str, str]) -> PoolSpec:
    """Return a pool whose members on clouds know their place and their models."""
    members = []
    for member in pool.members:
        if member.provider.settings:
            spec = _placed(member.provider, environment)
            models = spec.served if member.models is None else member.models
            member = replace(member, provider=spec, models=models)
        members.append(member)
    return replace(pool, members=tuple(members))


def _value(spec: ProviderSpec, setting: str, environment: Mapping[str, str]) -> str:
    return environment.get(spec.settings.get(setting, ""), "").strip()


def _of_profile(name: str, profile: str) -> str:
    prefix, dot, rest = name.partition(".")
    return f"{profile}.{rest}" if dot and prefix == _ANYWHERE else name


def _deployed(catalogue: Catalogue, spec: ProviderSpec) -> Iterator[ModelSpec]:
    """Yield the deployed models that the maker has in the catalogue, in its order."""
    for model in sorted(catalogue.all_models, key=lambda model: model.rank):
        if model.provider == spec.models_of and model.id in (spec.served or ()):
            yield replace(model, provider=spec.name, price=None)
