"""Write how a release was made: an in-toto statement with SLSA's provenance predicate.

usage: NAME=… COMMIT=… STARTED=… provenance.py FILE ... > NAME.provenance.json

https://slsa.dev/spec/v1.0/provenance and https://in-toto.io/Statement/v1 describe the fields.
"""

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

LOCKS = sorted(Path("requirements/locked").glob("*.txt"))


def material(path: Path) -> dict[str, object]:
    return {"name": path.name, "digest": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}


statement = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [material(Path(name)) for name in sys.argv[1:]],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://slsa.dev/provenance/v1#make-release",
            "externalParameters": {"name": os.environ["NAME"], "command": ".ci/release"},
            "resolvedDependencies": [
                {"name": "source", "digest": {"gitCommit": os.environ["COMMIT"]}},
                *(material(path) for path in LOCKS),
            ],
        },
        "runDetails": {
            "builder": {"id": "make release, by whoever signed SHA256SUMS"},
            "metadata": {
                "startedOn": os.environ["STARTED"],
                "finishedOn": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        },
    },
}
sys.stdout.write(json.dumps(statement, indent=2) + "\n")
