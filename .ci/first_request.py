"""Wait for the service, then send one real prompt twice and stream it, as a new user would."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

PROMPT = "What is the capital of France?"
START_SECONDS = 240


def request_json(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


def read_stream(url: str, body: dict[str, Any]) -> tuple[str, bool]:
    """Return the text of a chat completion's stream, and whether it ended with [DONE]."""
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
            request_json(f"{base}/health")
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                sys.exit(f"The service did not become ready within {START_SECONDS} seconds.")
            time.sleep(0.2)
        else:
            return


def main() -> None:
    base = sys.argv[1]
    wait_until_ready(base)
    first = request_json(f"{base}/complete", {"prompt": PROMPT})
    second = request_json(f"{base}/complete", {"prompt": PROMPT})
    chat = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    streamed, ended = read_stream(f"{base}/v1/chat/completions", chat)
    recorded = request_json(f"{base}/stats")["overall"]["total_requests"]
    problems = [
        problem
        for problem, occurred in {
            "The answer does not contain Paris.": "Paris" not in first["response"],
            "The first answer came from the cache.": first["cache_hit"],
            "The second answer did not come from the cache.": not second["cache_hit"],
            "The second answer has a cost other than 0.": second["cost"] != 0,
            "The stream does not contain Paris.": "Paris" not in streamed,
            "The stream did not end with [DONE].": not ended,
            f"/stats reports {recorded} requests instead of 3.": recorded != 3,
        }.items()
        if occurred
    ]
    if problems:
        sys.exit(" ".join(problems))
    print(f"{first['provider']}/{first['model']}: {first['response']}")  # noqa: T201


if __name__ == "__main__":
    main()
