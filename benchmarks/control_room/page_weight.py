"""How many bytes a page brings to a browser that has seen none of the admin before."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.contrib.staticfiles import finders

_IN_PAGES = re.compile(r"""<(?:script|img)\b[^>]*?\bsrc="([^"]+)"|<link\b[^>]*?\bhref="([^"]+)""")
_IN_STYLES = re.compile(r"""url\(["']?([^"')]+)["']?\)|@import ["']([^"']+)["']""")
_IN_SCRIPTS = re.compile(r"""(?:from|import)\s*["'](\.[^"']+)["']""")
_COMPRESSED = {".css", ".js", ".svg"}
_LEAST_COMPRESSED = 1024
_HEADERS = 400
"""Bytes of the headers of an answer, about."""


def page_bytes(html: bytes) -> int:
    """Return the bytes of a page with all of its files, as the service sends them.

    Each picture that a style names counts, whether the page shows it or not.
    """
    text = html.decode(errors="replace")
    prefix = f"/{settings.STATIC_URL.strip('/')}/"
    named = {one or other for one, other in _IN_PAGES.findall(text)}
    files = set().union(*(_with_its_files(name) for name in _inside(named, prefix)))
    return len(html) + _HEADERS + sum(_sent(name) + _HEADERS for name in files)


def _inside(addresses: set[str], prefix: str) -> set[str]:
    return {address[len(prefix) :] for address in addresses if address.startswith(prefix)}


@cache
def _with_its_files(name: str) -> frozenset[str]:
    """Return the file and all that it names, by their names below the static files."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += _named_in(name)
    return frozenset(found)


def _named_in(name: str) -> list[str]:
    path = PurePosixPath(name)
    pattern = {".css": _IN_STYLES, ".js": _IN_SCRIPTS}.get(path.suffix)
    if pattern is None:
        return []
    text = _path(name).read_text()
    named = (match.group(match.lastindex or 0) for match in pattern.finditer(text))
    return [_joined(path.parent, one) for one in named if not one.startswith(("data:", "#"))]


def _joined(folder: PurePosixPath, relative: str) -> str:
    parts = list(folder.parts)
    for part in relative.split("?")[0].split("#")[0].split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


@cache
def _sent(name: str) -> int:
    content = _path(name).read_bytes()
    if PurePosixPath(name).suffix in _COMPRESSED and len(content) >= _LEAST_COMPRESSED:
        return len(gzip.compress(content, 9, mtime=0))
    return len(content)


def _path(name: str) -> Path:
    found = finders.find(name)
    if found is None:
        raise FileNotFoundError(name)
    return Path(str(found))
