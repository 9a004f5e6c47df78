"""Read a TOML file that an operator wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_toml(path: Path, refused: type[Exception]) -> dict[str, Any]:
    """Return the content of the file. Raises ``refused``, which names the file, if it fails."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refused(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refused(f"{path}: {error}") from error
