"""Names of models with the date of their edition, such as ``gpt-4o-2024-08-06``."""

from __future__ import annotations

import re
from functools import lru_cache

_DAY = r"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_DATE = re.compile(  # of OpenAI and Anthropic, then of Google, then of Bedrock
    rf"[-@](20\d\d{_DAY}|20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])|{_DAY}"
    r"|0\d\d|preview-\d\d-20\d\d)(-v\d+(:\d+)?)?$"
)


@lru_cache(maxsize=1024)
def undated(model: str) -> str:
    """Return the name without its date, so that all editions of a model have one name."""
    return _DATE.sub("", model)
