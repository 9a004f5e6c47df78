"""Where the API keys of providers come from: the environment first, else what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from providers.catalogue import ProviderSpec


def takes_stored_keys(spec: ProviderSpec, environment: Mapping[str, str]) -> bool:
    """Return whether a key is all that the provider needs yet.

    Clouds need more, and one's own servers a base URL, which ``environment`` has to have.
    """
    known = bool(spec.base_url or environment.get(spec.base_url_env))
    return known and bool(spec.key_env) and not spec.needs and spec.wire != "local"


def key_variable(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the variable of the environment that sets the provider's keys, "" if none does."""
    return next((name for name in spec.key_env if environment.get(name, "").strip()), "")


def with_stored_keys(
    specs: Iterable[ProviderSpec],
    environment: Mapping[str, str],
    stored: Mapping[str, Sequence[str]],
) -> Mapping[str, str]:
    """Return ``environment`` with the ``stored`` keys of providers whose keys it does not set."""
    more = {
        spec.key_env[0]: ",".join(stored[spec.name])
        for spec in specs
        if stored.get(spec.name)
        and takes_stored_keys(spec, environment)
        and not key_variable(spec, environment)
    }
    return {**environment, **more} if more else environment
