"""Reads a provider's report page by page, with an administrator's key that is kept nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx

from providers.http.header_values import retry_after_seconds
from providers.statements.lines import StatementError

_TIMEOUT = 60.0
_ATTEMPTS = 5
_LONGEST_WAIT = 60.0
_MOST_PAGES = 10_000
_MOST_BYTES = 64 * 1024 * 1024
Query = Sequence[tuple[str, str]]


class ReportClient:
    """GETs JSON of one provider. ``headers`` have the key; no message or log repeats them.

    ``wait`` waits so many seconds before a call is repeated.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        key_hint: str,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._key_hint = key_hint
        self._wait = wait
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"), headers=headers, timeout=_TIMEOUT, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def pages(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield the pages of a report whose pages name the ``next_page``.

        Raises :class:`StatementError`.
        """
        cursor: list[tuple[str, str]] = []
        seen = set()
        for _ in range(_MOST_PAGES):
            page = self.get(path, [*query, *cursor])
            yield page
            following = page.get("next_page")
            if not page.get("has_more", following) or not following:
                return
            if following in seen:
                raise StatementError(f"{path} names the same next page again.")
            seen.add(following)
            cursor = [("page", str(following))]
        raise StatementError(f"{path} has more than {_MOST_PAGES} pages.")

    def get(self, path: str, query: Query) -> dict[str, Any]:
        """Return one page; a limit and an error of the server are waited for and tried again."""
        problem = ""
        for attempt in range(_ATTEMPTS):
            try:
                response = self._http.get(path, params=list(query))
            except httpx.HTTPError as error:
                problem, pause = type(error).__name__, 2.0**attempt
            else:
                if response.is_success:
                    return _document(response.content, path)
                problem = f"HTTP {response.status_code}"
                if response.status_code in {401, 403}:
                    raise StatementError(f"{path}: {problem}. {self._key_hint}")
                if response.status_code != 429 and response.status_code < 500:
                    raise StatementError(f"{path}: {problem}. {_reason(response)}".strip())
                wait = retry_after_seconds(response.headers)
                pause = 2.0**attempt if wait is None else wait
            if attempt + 1 < _ATTEMPTS:
                self._wait(min(pause, _LONGEST_WAIT))
        raise StatementError(f"{path}: {problem}, {_ATTEMPTS} times.")


def _document(content: bytes, path: str) -> dict[str, Any]:
    if len(content) > _MOST_BYTES:
        raise StatementError(f"{path} answered with more than {_MOST_BYTES} bytes.")
    try:
        document = json.loads(content, parse_float=Decimal)
    except ValueError:
        raise StatementError(f"{path} did not answer with JSON.") from None
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise StatementError(f"{path} answered with JSON of another shape: no list of data.")
    return document


def _reason(response: httpx.Response) -> str:
    """Return the message of the provider's error, without what looks like a key."""
    try:
        error = response.json()["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError):
        return ""
    return " ".join(word for word in text[:300].split() if "sk-" not in word)
