"""Calls webhooks at the addresses that were checked: a name is resolved once for both.

A server that answers for a name may give another address to each question. So the connection goes
to an address that was checked, with the name in ``Host`` and in TLS: the certificate must be that
of the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType

import httpx
from yarl import URL

from optimizer.shared.webhooks import WebhookRefused, read_url
from providers.http.proxies import Proxies

logger = logging.getLogger(__name__)

_TIMEOUT = 5.0
_MOST_SECONDS = 8.0
"""For the whole call: a server that sends a byte now and then resets every other limit."""
_METADATA = frozenset(map(ipaddress.ip_address, (
    "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe",
)))  # fmt: skip
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""Addresses of IPv4 in IPv6, for a gateway that translates (RFC 6052)."""


class WebhookClient:
    """Sends webhooks; to be entered, and used for many.

    Through a proxy that the environment names, the proxy resolves the name, and what it may reach
    is the proxy's to say.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._proxies = Proxies.of(environment)
        # Certificates are those of the environment (SSL_CERT_FILE), which proxies are not.
        context = httpx.create_ssl_context()
        self._direct = httpx.AsyncClient(
            timeout=_TIMEOUT, follow_redirects=False, trust_env=False, verify=context
        )
        self._context = context

    async def __aenter__(self) -> WebhookClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._direct.aclose()

    async def deliver(
        self, url: str, content: bytes, headers: Mapping[str, str], *, checked: bool
    ) -> str:
        """Return why a message was not taken, "" if it was; ``checked`` is that of :meth:`post`."""
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                # Only the status says whether the message was taken.
                status = await self.post(url, content, headers, checked=checked)
        except TimeoutError:
            return f"no answer within {_MOST_SECONDS:.0f} s"
        except WebhookRefused as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        except ValueError:
            return "The webhook is no URL."
        except Exception as error:  # noqa: BLE001 - one address must not hold up everybody's messages
            logger.error("A webhook could not be called (%s)", type(error).__name__)
            return type(error).__name__
        return "" if 200 <= status < 300 else f"HTTP {status}"

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], *, checked: bool
    ) -> int:
        """Return the status of the answer, whose body is not read.

        With ``checked``, every address but those that hand out a machine's credentials is called.
        Raises :class:`WebhookRefused` and httpx's errors.
        """
        parts = read_url(url)
        proxy = None if self._proxies is None else self._proxies.of_url(URL(url))
        if proxy is not None:
            auth = (proxy.user, proxy.password) if proxy.user else None
            async with httpx.AsyncClient(
                timeout=_TIMEOUT,
                follow_redirects=False,
                trust_env=False,
                verify=self._context,
                proxy=httpx.Proxy(str(proxy.url), auth=auth),
            ) as client:
                return await _status(client, parts, content, headers)
        if not checked:
            return await _status(self._direct, parts, content, headers)
        return await self._at(await _addresses(parts), parts, content, headers)

    async def _at(
        self,
        addresses: Sequence[str],
        parts: httpx.URL,
        content: bytes,
        headers: Mapping[str, str],
    ) -> int:
        """Call the first of the addresses that can be connected to."""
        # No later call to another name at this address may use the connection.
        own = {**headers, "host": parts.netloc.decode("ascii"), "connection": "close"}
        extensions = {"sni_hostname": _ascii_host(parts)}
        for address in addresses[:-1]:
            try:
                place = parts.copy_with(host=address)
                return await _status(self._direct, place, content, own, extensions)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        place = parts.copy_with(host=addresses[-1])
        return await _status(self._direct, place, content, own, extensions)


async def _status(
    client: httpx.AsyncClient,
    url: httpx.URL,
    content: bytes,
    headers: Mapping[str, str],
    extensions: Mapping[str, str] | None = None,
) -> int:
    async with client.stream(
        "POST", url, content=content, headers=headers, extensions=dict(extensions or {})
    ) as response:
        return response.status_code


async def _addresses(parts: httpx.URL) -> list[str]:
    """Return the addresses of a URL's host. Raises :class:`WebhookRefused` for a forbidden one."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        places = await asyncio.get_running_loop().getaddrinfo(
            _ascii_host(parts), port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:  # the latter of a name that no server can have
        raise httpx.ConnectError("The webhook's host has no address") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in places))
    if any(map(_hands_out_credentials, addresses)):
        raise WebhookRefused("The webhook's host is an address of the machine's own network.")
    return addresses


def _ascii_host(parts: httpx.URL) -> str:
    """Return the host as ``Host`` names it: Python reads some names beyond ASCII as others."""
    return parts.raw_host.decode("ascii")


def _hands_out_credentials(text: str) -> bool:
    """Return whether the address is link-local, where clouds serve a machine's metadata."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = _within(address) or address
    return address.is_link_local or address in _METADATA


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the address of IPv4 that one of IPv6 stands for, ``None`` for none."""
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
