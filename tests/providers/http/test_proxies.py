"""Calls of providers through the proxies that the environment names."""

from __future__ import annotations

import asyncio
import base64
import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from yarl import URL

from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.errors import ConnectionFailed
from providers.http.proxies import Proxies, SocksProxy
from providers.http.transport import ConnectionSettings, make_client
from providers.openai.client import OpenAIProvider
from tests.fakes.certificates import certificate_of
from tests.fakes.proxy import FakeProxy
from tests.fakes.server import FakeProvider
from tests.fakes.wires import ANSWER, KEY, openai_wire

HOST = "api.provider.test"
REQUEST = CompletionRequest("gpt-6-luna", Chat.of_prompt("Hello"))
_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(openai_wire(max_tokens_field="max_completion_tokens")) as fake:
        yield fake


def port_of(fake: FakeProvider) -> int:
    port = urlsplit(fake.url).port
    assert port is not None
    return port


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def asked(base: str) -> Any:
    """Ask once whole and once streamed; return the first answer."""
    settings = ConnectionSettings(connect_timeout=2, read_timeout=5)
    async with make_client(settings) as http:
        client = OpenAIProvider("openai", http, base, KEY)
        completion = await client.complete(REQUEST)
        events = [event async for event in client.stream(REQUEST)]
        assert events
    return completion


async def test_a_call_goes_through_the_proxy_with_its_credentials(
    provider: FakeProvider, environment: pytest.MonkeyPatch
) -> None:
    async with FakeProxy({f"{HOST}:80": port_of(provider)}) as proxy:
        environment.setenv("HTTP_PROXY", f"http://ann:s%3Acret@127.0.0.1:{proxy.port}")
        completion = await asked(f"http://{HOST}")
        assert completion.text == ANSWER
        assert proxy.asked == [f"POST http://{HOST}/chat/completions"] * len(proxy.asked)
        assert proxy.asked
        expected = base64.b64encode(b"ann:s:cret").decode()
        assert set(proxy.authorization) == {f"Basic {expected}"}
        assert len(provider.asked) == 2
        assert all("proxy-authorization" not in one.headers for one in provider.asked)


async def test_what_no_proxy_names_is_called_without(
    provider: FakeProvider, environment: pytest.MonkeyPatch
) -> None:
    async with FakeProxy({}) as proxy:
        environment.setenv("HTTP_PROXY", proxy.url)
        environment.setenv("NO_PROXY", ".provider.test")
        with pytest.raises(ConnectionFailed):  # there is no such host
            await asked(f"http://{HOST}")
        assert (await asked(provider.url)).text == ANSWER, "this machine needs no proxy"
        assert proxy.asked == []


@pytest.mark.parametrize("status", [407, 502])
async def test_a_proxy_that_refuses_is_a_connection_that_failed(
    status: int, environment: pytest.MonkeyPatch
) -> None:
    async with FakeProxy({}, refuses=status) as proxy:
        environment.setenv("HTTPS_PROXY", f"http://ann:secret@127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectionFailed) as raised:
            await asked(f"https://{HOST}")
        assert proxy.asked == [f"CONNECT {HOST}:443"]
        assert "secret" not in str(raised.value)
        assert not raised.value.maybe_charged


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("said", "silent"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nx: ", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS at all, only words", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
    ids=["hangs", "hangs amid its answer", "hangs behind it", "hangs up", "no HTTP", "no TLS",
         "hangs up behind it"],
)  # fmt: skip
async def test_a_proxy_without_a_tunnel_is_a_connection_that_failed_soon(
    said: bytes, silent: bool, streamed: bool, environment: pytest.MonkeyPatch
) -> None:
    """The provider got nothing, so nothing was charged and others may be asked."""
    limits = httpx.Timeout(60, connect=0.2)
    async with FakeProxy({}, says=said, silent=silent) as proxy:
        environment.setenv("HTTPS_PROXY", f"http://ann:secret@127.0.0.1:{proxy.port}")
        async with make_client(ConnectionSettings()) as http, asyncio.timeout(5):
            client = OpenAIProvider("openai", http, f"https://{HOST}", KEY, limits, limits)
            with pytest.raises(ConnectionFailed) as raised:
                if streamed:
                    await anext(client.stream(REQUEST))
                else:
                    await client.complete(REQUEST)
    assert not raised.value.maybe_charged
    assert "secret" not in f"{raised.value} {raised.value.__cause__!r}"


async def test_an_encrypted_call_goes_through_a_tunnel(
    provider: FakeProvider, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proxy sees the host's name and nothing of the call."""
    path = certificate_of(HOST, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    trusting = ssl.create_default_context(cafile=str(path))
    environment.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)

    async def unwrapped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port_of(provider))

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    server = await asyncio.start_server(unwrapped, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, FakeProxy({f"{HOST}:443": port}) as proxy:
        environment.setenv("HTTPS_PROXY", proxy.url)
        assert (await asked(f"https://{HOST}")).text == ANSWER
        assert set(proxy.asked) == {f"CONNECT {HOST}:443"}
        assert provider.asked[0].headers["authorization"] == f"Bearer {KEY}"
        server.close()


def test_without_any_there_is_nothing_to_look_at() -> None:
    assert Proxies.of({}) is None
    assert Proxies.of({"NO_PROXY": "*"}) is None
    assert Proxies.of({"HTTPS_PROXY": "  "}) is None


def test_a_scheme_that_is_not_supported_is_said_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Proxies.of({"ALL_PROXY": "ftp://ann:secret@proxy:1080"}) is None
    assert "not used" in caplog.text
    assert "secret" not in caplog.text


def test_a_proxy_that_cannot_be_used_is_said_once_for_each_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = (f"ftp://{uuid.uuid4().hex}:21" for _ in range(2))
    for value in (one, one, other, one, other):
        assert Proxies.of({"HTTPS_PROXY": value, "HTTP_PROXY": value}) is None
    assert len(caplog.records) == 2


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a", "SOCKS", "socks"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "all_proxy"])
def test_a_socks_proxy_is_refused_and_named_without_its_password(name: str, scheme: str) -> None:
    with pytest.raises(SocksProxy) as refused:
        Proxies.of({name: f"{scheme}://ann:secret@proxy:1080"})
    assert str(refused.value).startswith(f"{name.upper()} names a SOCKS proxy")
    assert "secret" not in str(refused.value)


def test_a_socks_proxy_that_nothing_goes_through_is_no_matter() -> None:
    socks = {"ALL_PROXY": "socks5://proxy:1080"}
    assert Proxies.of({**socks, "NO_PROXY": "a, *"}) is None
    others = {"HTTPS_PROXY": "http://proxy:3128", "http_proxy": "http://proxy:3128"}
    assert Proxies.of({**socks, **others}) is not None


@pytest.mark.parametrize(
    ("names", "url", "proxied"),
    [
        ("", "https://api.openai.com/v1", True),
        ("", "http://localhost:11434", False),
        ("", "http://127.0.0.1:8000", False),
        ("", "http://[::1]:8000", False),
        ("*", "https://api.openai.com", False),
        ("openai.com", "https://api.openai.com", False),
        (".openai.com", "https://openai.com", False),
        ("*.openai.com", "https://api.openai.com", False),
        ("openai.com", "https://notopenai.com", True),
        ("a.test, openai.com", "https://API.OpenAI.com", False),
        ("openai.com:8443", "https://openai.com", True),
        ("openai.com:443", "https://openai.com", False),
        ("10.0.0.0/8", "https://10.1.2.3:8443", False),
        ("10.0.0.0/8", "https://11.1.2.3", True),
        ("10.1.2.3", "https://10.1.2.3", False),
        ("10.1.2.3:99", "https://10.1.2.3", True),
        ("fd00::/8", "https://[fd00::1]", False),
        ("fd00::1", "https://[fd00::1]", False),
        ("not a network/8", "https://10.1.2.3", True),
    ],
)
def test_no_proxy(names: str, url: str, proxied: bool) -> None:
    proxies = Proxies.of({"https_proxy": "proxy:3128", "http_proxy": "proxy", "no_proxy": names})
    assert proxies is not None
    found = proxies.of_url(URL(url))
    assert (found is not None) == proxied
    if found is not None:
        assert str(found.url) == "http://proxy:3128"


def test_lower_case_comes_first_and_all_proxy_last() -> None:
    proxies = Proxies.of({
        "ALL_PROXY": "http://all", "HTTPS_PROXY": "http://upper", "https_proxy": "http://lower",
    })  # fmt: skip
    assert proxies is not None
    https, http = proxies.of_url(URL("https://a.test")), proxies.of_url(URL("http://a.test"))
    assert https is not None
    assert http is not None
    assert (str(https.url), str(http.url)) == ("http://lower", "http://all")
