"""A POST on a pooled connection is what aiohttp's session sends, and ends as it does there.

Interim responses: RFC 9110, section 15.2. No connection is used again after an answer that was not
read to its end.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import zstandard

from providers.http.transport import CALL_FAILED, HttpClient, Target, body_of

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request on a connection with the next of ``answers``; keeps what it read."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.seen: list[bytes] = []
        self.connections = self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.seen.append(head + await reader.readexactly(size))
            writer.write(self.answers.pop(0))
            await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[Server]:
    server = Server([*answers])
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def target(server: Server, *, user: str = "", **headers: str) -> Target:
    url = f"http://{user}127.0.0.1:{server.port}/v1/chat?a=b%20c"
    return Target.of(url, {"content-type": "application/json", **headers}, httpx.Timeout(2.0))


def _fields(raw: bytes) -> tuple[bytes, set[bytes], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, {line.lower() for line in lines}, body


async def test_the_request_is_the_one_of_a_session(http: HttpClient) -> None:
    async with serving(_ANSWER, _ANSWER) as server:
        to = target(server, authorization="Bearer key")
        first = await http.fetch(to, b'{"a": 1}', 10)
        second = await http.post(to, b'{"a": 1}')
        assert first is not None
        assert (first.status, first.body) == (200, b"ok")
        assert await second.aread() == b"ok"
        assert _fields(server.seen[0]) == _fields(server.seen[1])


async def test_a_connection_is_used_again(http: HttpClient) -> None:
    async with serving(_ANSWER, _ANSWER, _ANSWER) as server:
        for _ in range(3):
            assert await http.fetch(target(server), b"{}", 10) is not None
        assert server.connections == 1


async def test_a_compressed_answer_is_read(http: HttpClient) -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(head + packed) as server:
        answer = await http.fetch(target(server), b"{}", 10)
        assert answer is not None
        assert answer.body == b"hello"


@pytest.mark.parametrize("packed", [b"a" * 11, gzip.compress(b"a" * 11)], ids=["plain", "gzip"])
async def test_too_large_an_answer_is_none_and_its_connection_ends(
    packed: bytes, http: HttpClient
) -> None:
    encoding = b"content-encoding: gzip\r\n" if packed.startswith(b"\x1f") else b""
    large = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (encoding, len(packed)) + packed
    async with serving(large, _ANSWER) as server:
        assert await http.fetch(target(server), b"{}", 10) is None
        again = await http.fetch(target(server), b"{}", 10)
        assert again is not None
        assert again.body == b"ok"


async def test_an_interim_response_is_no_answer(http: HttpClient) -> None:
    async with serving(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + _ANSWER) as server:
        answer = await http.fetch(target(server), b"{}", 10)
        assert answer is not None
        assert (answer.status, answer.body) == (200, b"ok")


async def test_a_header_of_two_lines_is_not_sent(http: HttpClient) -> None:
    async with serving(_ANSWER) as server:
        with pytest.raises(ValueError, match="[Nn]ewline"):
            await http.fetch(target(server, authorization="key\r\nx-admin: yes"), b"{}", 10)
        assert not server.seen


async def test_a_name_and_password_in_the_address_are_sent_as_before(http: HttpClient) -> None:
    async with serving(_ANSWER) as server:
        assert await http.fetch(target(server, user="me:secret@"), b"{}", 10) is not None
        assert b"authorization: basic" in server.seen[0].lower()


async def test_a_connection_that_breaks_is_a_failed_call(http: HttpClient) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok") as server:
        with pytest.raises(CALL_FAILED):
            await http.fetch(target(server), b"{}", 10)


async def test_an_interim_response_begins_with_1(http: HttpClient) -> None:
    async with serving(b"HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\nok") as server:
        async with asyncio.timeout(1):
            answer = await http.fetch(target(server), b"{}", 10)
        assert answer is not None
        assert answer.status == 99


Call = Callable[[HttpClient, Target, int], Awaitable[bytes | None]]


async def _fetched(http: HttpClient, to: Target, most: int) -> bytes | None:
    answer = await http.fetch(to, b"{}", most)
    return None if answer is None else answer.body


async def _read(http: HttpClient, to: Target, most: int) -> bytes | None:
    response = await http.post(to, b"{}")
    try:
        return await body_of(response, most)
    finally:
        await response.aclose()


EITHER_WAY = pytest.mark.parametrize("call", [_fetched, _read], ids=["whole", "stream"])


@EITHER_WAY
@pytest.mark.parametrize("late", [_ANSWER.replace(b"ok", b"no"), _ANSWER[:-1]])
async def test_what_comes_after_an_answer_answers_no_other_request(
    late: bytes, call: Call, http: HttpClient
) -> None:
    """RFC 9112, 9.2: data without an outstanding request is no response; close the connection."""
    sent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(_ANSWER)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(late)
        await writer.drain()
        sent.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        to = Target.of(url, {}, httpx.Timeout(2.0))
        for _ in range(2):
            async with asyncio.timeout(2):
                assert await call(http, to, 10) == b"ok"
            await sent.wait()
            sent.clear()
            await asyncio.sleep(0.02)


@EITHER_WAY
async def test_a_small_answer_cannot_fill_the_memory(call: Call, http: HttpClient) -> None:
    packed = gzip.compress(bytes(10_000_000))
    twice = gzip.compress(packed)
    zstd = zstandard.compress(bytes(10_000_000))
    packets = {b"gzip": packed, b"gzip, gzip": twice, b"zstd": zstd}
    for encoding, content in packets.items():
        head = b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (encoding, len(content))
        async with serving(b"HTTP/1.1 200 OK\r\n" + head + content) as server:
            tracemalloc.start()
            with suppress(*CALL_FAILED):
                body = await call(http, target(server), 200_000)
                assert body is None or len(body) < 10_000
            largest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert largest < 4_000_000, encoding


@EITHER_WAY
async def test_compressed_answers_of_all_sizes_are_read(call: Call, http: HttpClient) -> None:
    text = b"".join(b"%d " % number for number in range(100_000))
    for content in (b"", b"x", text):
        for packed, encoding in (
            (gzip.compress(content), b"gzip"),
            (zlib.compress(content), b"deflate"),
        ):
            head = b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (encoding, len(packed))
            async with serving(b"HTTP/1.1 200 OK\r\n" + head + packed) as server:
                assert await call(http, target(server), 1_000_000) == content


async def test_a_header_of_any_bytes_can_be_read(http: HttpClient) -> None:
    odd = _ANSWER.replace(b"\r\n\r\n", b"\r\ncontent-type: text/plain; a=\xe9\r\n\r\n")
    async with serving(odd) as server:
        response = await http.post(target(server), b"{}")
        assert response.headers["content-type"].startswith("text/plain")
        await response.aclose()
