"""Wait for the service, then ask it one real prompt twice and stream it, as a newcomer would."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

PROMPT = "What is the capital of France?"
START_SECONDS = 240


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback, given by the gate
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


def listen(url: str, body: dict[str, Any]) -> tuple[str, bool]:
    """The text of a chat completion's stream, and whether it came to its end."""
    request = urllib.request.Request(  # noqa: S310
        url, data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    text = ""
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        for line in response:
            data = line.decode().removeprefix("data: ").strip()
            if data == "[DONE]":
                return text, True
            if data:
                delta = json.loads(data)["choices"][0]["delta"]
                text += delta.get("content") or ""
    return text, False


def wait_until_ready(base: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ask(f"{base}/health")
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                sys.exit("the service did not become ready")
            time.sleep(0.2)
        else:
            return


def main() -> None:
    base = sys.argv[1]
    wait_until_ready(base)
    first = ask(f"{base}/complete", {"prompt": PROMPT})
    second = ask(f"{base}/complete", {"prompt": PROMPT})
    chat = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    streamed, ended = listen(f"{base}/v1/chat/completions", chat)
    problems = [
        problem
        for problem, found in {
            "the answer does not name Paris": "Paris" not in first["response"],
            "the first answer came from the cache": first["cache_hit"],
            "the second answer did not come from the cache": not second["cache_hit"],
            "the second answer is not free": second["cost"] != 0,
            "the stream does not name Paris": "Paris" not in streamed,
            "the stream did not come to its end": not ended,
            "the report misses a request": ask(f"{base}/stats")["overall"]["total_requests"] != 3,
        }.items()
        if found
    ]
    if problems:
        sys.exit("; ".join(problems))
    print(f"{first['provider']}/{first['model']}: {first['response']}")  # noqa: T201


if __name__ == "__main__":
    main()
