"""Wait for the service, then send it one real prompt twice, as a newcomer would."""

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
    problems = [
        problem
        for problem, found in {
            "the answer does not name Paris": "Paris" not in first["response"],
            "the first answer came from the cache": first["cache_hit"],
            "the second answer did not come from the cache": not second["cache_hit"],
            "the second answer is not free": second["cost"] != 0,
            "the report misses a request": ask(f"{base}/stats")["overall"]["total_requests"] != 2,
        }.items()
        if found
    ]
    if problems:
        sys.exit("; ".join(problems))
    print(f"{first['provider']}/{first['model']}: {first['response']}")  # noqa: T201


if __name__ == "__main__":
    main()
