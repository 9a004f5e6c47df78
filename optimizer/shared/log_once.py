"""Logs a trouble when it begins, not every time it shows."""

from __future__ import annotations

import logging


class LogOnce:
    """Logs a trouble once until it is over, or until it is about something else."""

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
        """Log ``message`` unless a trouble about the same was logged and is not over."""
        if not self._logged or about != self._about:
            self._logger.log(self._level, message, *args, exc_info=exc_info)
        self._logged, self._about = True, about

    def over(self) -> None:
        """Log the next trouble again."""
        self._logged = False
