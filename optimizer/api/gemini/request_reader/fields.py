"""Reads Google's JSON: names in camelCase or in snake_case, one object for an array of one.

Format: https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.http.body_reader import BodyReader

_UNDERSCORE = re.compile(r"_+([a-z0-9])")


def camel(name: str) -> str:
    """Return a field's name in camelCase."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name) if "_" in name else name


class ProtoReader(BodyReader):
    """Reads the fields of one message by their names in camelCase.

    What has a wrong type counts as absent where the field only tunes the answer: Google's API
    judges it, and other APIs do without it.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        super().__init__(value, path)
        if any("_" in name for name in self._values):
            self._values = {camel(name): item for name, item in self._values.items()}

    def object(self, name: str) -> ProtoReader | None:
        """Return a reader of an object; ``None`` if it is absent."""
        value = self.mapping(name)
        return None if value is None else ProtoReader(value, self.place(name))

    def objects(self, name: str) -> Iterator[ProtoReader]:
        """Yield a reader of each object of an array, or of the only one."""
        value = self.raw(name)
        values = [value] if isinstance(value, dict) else self.array(name)
        for number, item in enumerate(values):
            yield ProtoReader(item, f"{self.place(name)}[{number}]")

    def part(self, name: str) -> ProtoReader | None:
        """Return a reader of an object; ``None`` if it is absent or of another type."""
        value = self.raw(name)
        return ProtoReader(value, self.place(name)) if isinstance(value, Mapping) else None

    def word(self, name: str) -> str:
        """Return a string; empty if it is absent or of another type."""
        value = self.raw(name)
        return value if isinstance(value, str) else ""

    def real(self, name: str) -> float | None:
        """Return a number, which may be written as a string."""
        value = self.raw(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return value if math.isfinite(value) else None

    def whole(self, name: str) -> int | None:
        """Return an integer, which may be written as a string."""
        value = self.real(name)
        return int(value) if value is not None and value == int(value) else None

    def is_set(self, name: str) -> bool:
        """Return whether a boolean is true."""
        return self.raw(name) is True
