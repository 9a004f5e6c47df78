"""The providers that are configured now: all of them change in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from providers.completion import Provider


class ConfiguredProviders(Mapping[str, Provider]):
    """The clients of the configured providers, by name.

    A provider that is not configured any more is not among them. Only ``[name]`` still returns its
    last client, for requests that chose it before.
    """

    def __init__(self) -> None:
        self._now: Mapping[str, Provider] = {}
        self._before: dict[str, Provider] = {}

    def __getitem__(self, name: str) -> Provider:
        """Return the client of a provider that is configured, or was."""
        client = self._now.get(name)
        return self._before[name] if client is None else client

    def __contains__(self, name: object) -> bool:
        """Return whether the provider is configured now."""
        return name in self._now

    def __iter__(self) -> Iterator[str]:
        """Iterate over the providers that are configured now, even if they change meanwhile."""
        return iter(self._now)

    def __len__(self) -> int:
        """Return how many are configured now."""
        return len(self._now)

    def get(self, name: str, default: Provider | None = None) -> Provider | None:  # type: ignore[override]
        """Return the client of a provider that is configured now, else ``default``."""
        return self._now.get(name, default)

    def replace(self, clients: Mapping[str, Provider]) -> None:
        """Make ``clients`` the configured ones, from one instruction to the next."""
        self._before.update(self._now)
        self._now = dict(clients)
