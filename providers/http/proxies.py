"""The proxies that the environment names: ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY``.

They are read as curl, Go and Python's clients read them: the lower-case name comes first.
``NO_PROXY`` holds hosts with all that is below them, addresses, networks and ``*``, each with a
port or without. This machine itself is reached without a proxy.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

logger = logging.getLogger(__name__)

_SCHEMES = ("http", "https")
_SOCKS = re.compile(r"socks\w*://", re.IGNORECASE)


class SocksProxy(ValueError):
    """The environment names a SOCKS proxy, which is not supported; the message says where."""

    def __init__(self, variable: str) -> None:
        # The value may hold a password.
        super().__init__(
            f"{variable} names a SOCKS proxy, and only http:// and https:// proxies are supported. "
            "Name one of these, unset it, or set NO_PROXY=* to call everything directly."
        )


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address without the name and the password that stand in it, which may be empty."""

    url: URL
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The credentials as a header; aiohttp sends it to the proxy alone, by another name."""
        if not self.user:
            return {}
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies by the scheme of what is called through them, and what is called without."""

    by_scheme: Mapping[str, Proxy]
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Proxies | None:
        """Return the proxies of the environment, ``None`` if it names none that can be used.

        Raises :class:`SocksProxy`: what must go through a proxy must not go past it.
        """
        entries = _variable(environment, "no_proxy").replace(",", " ").split()
        by_scheme = {}
        for scheme in _SCHEMES:
            variable, text = _named(environment, scheme)
            if _SOCKS.match(text):
                if "*" in entries:
                    continue  # nothing goes through it
                raise SocksProxy(variable)
            if text and (proxy := _read(text)) is not None:
                by_scheme[scheme] = proxy
        return cls(by_scheme, tuple(entry.lower() for entry in entries)) if by_scheme else None

    def of_url(self, url: URL) -> Proxy | None:
        """Return the proxy through which ``url`` is called, ``None`` for none."""
        proxy, host = self.by_scheme.get(url.scheme), (url.host or "").lower().rstrip(".")
        if proxy is None or _is_this_machine(host):
            return None
        if any(_names(entry, host, url.port) for entry in self.without):
            return None
        return proxy


def _named(environment: Mapping[str, str], scheme: str) -> tuple[str, str]:
    """Return the variable that names the proxy of a scheme, and its value; empty texts if none."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        if text := _variable(environment, name):
            return name.upper(), text
    return "", ""


def _variable(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


@lru_cache(maxsize=64)
def _read(text: str) -> Proxy | None:
    """Return the proxy that a value names, ``None`` if it cannot be used.

    It is kept, so that the log says once what cannot be used: each pass of webhooks reads the
    environment again.
    """
    try:
        url = URL(text if "://" in text else f"http://{text}")
        if url.scheme not in _SCHEMES or not url.host:
            raise ValueError
    except ValueError:
        # The value may hold a password.
        logger.error(
            "A proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is not used: only "
            "http:// and https:// proxies are supported"
        )
        return None
    return Proxy(url.with_user(None), url.user or "", url.password or "")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _names(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of ``NO_PROXY`` names a host, with its port if it has one."""
    if entry == "*":
        return True
    address = _address(host)
    if address is not None and "/" in entry:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and _address(entry) is None:
        if number != str(port):
            return False
        entry = name
    if address is not None:
        return _address(entry) == address
    entry = entry.removeprefix("*").lstrip(".").rstrip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
