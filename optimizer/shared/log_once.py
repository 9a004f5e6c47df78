"""Logs an error when it begins, not every time it occurs."""

from __future__ import annotations

import logging


class LogOnce:
    """Logs an error once until it is resolved, or until it is about something else."""

    def __init__(self, logger: logging.Logger, level: int = logging.WARNING) -> None:
        self._logger = logger
        self._level = level
        self._about: object = None
        self._logged = False

    def log(
        self,
        message: str,
        *args: object,
        about: object = None,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log ``message`` unless an error about the same was logged and is not resolved."""
        if not self._logged or about != self._about:
            self._logger.log(self._level, message, *args, exc_info=exc_info)
        self._logged, self._about = True, about

    def resolved(self) -> None:
        """Log the next error again."""
        self._logged = False
