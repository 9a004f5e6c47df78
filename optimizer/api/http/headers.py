"""What may stand in a response header, and the header with warnings."""

from __future__ import annotations

import re
from collections.abc import Sequence

NOT_IN_HEADERS = re.compile(r"[^ -~]")


def warning_header(warnings: Sequence[str]) -> dict[str, str]:
    """Return the header that tells an agent's user of a soft limit or of a runaway."""
    return {"X-Optimizer-Warning": NOT_IN_HEADERS.sub("?", " ".join(warnings))}
