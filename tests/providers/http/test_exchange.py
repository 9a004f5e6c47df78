"""A POST on a pooled connection is what aiohttp's session sends, and ends as it does there.

Interim responses: RFC 9110, section 15.2. No connection is used again after an answer that was not
read to its end.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from providers.http.transport import CALL_FAILED, HttpClient, Target

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
