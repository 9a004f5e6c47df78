"""The rules in force: the file's first, then the admin's; read anew when they change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from optimizer.domain.request import GatewayRequest
from providers.toml_file import read_toml
from routing.models import PromptAnalysis
from routing.rule_reading import RuleError, read_rule
from routing.rules import NO_EFFECT, Effect, Rule, Subject, effect_of

logger = logging.getLogger(__name__)


class RulesFileError(Exception):
    """The file of rules cannot be read; the message names the file and the rule."""


def read_rules_file(path: Path) -> list[Rule]:
    """The ``[[rules]]`` of a TOML file, in their order. Raises :class:`RulesFileError`."""
    raw = read_toml(path, RulesFileError)
    if set(raw) - {"rules"}:
        raise RulesFileError(f"{path}: may only hold [[rules]]")
    return read_rule_entries(raw.get("rules", []), str(path), RulesFileError)


def read_rule_entries(entries: Any, where: str, error_type: type[Exception]) -> list[Rule]:
    """Rules as TOML has them; raises ``error_type``, which names ``where`` and the rule."""
    if not isinstance(entries, list):
        raise error_type(f"{where}: may only hold [[rules]]")
    rules = []
    for number, entry in enumerate(entries, 1):
        try:
            rules.append(read_rule(entry))
        except RuleError as error:
            name = entry.get("name", f"number {number}")
            raise error_type(f"{where}: rule {name}: {error}") from None
    return rules


class ActiveRules:
    """``load`` reads the admin's rules that are on, and those it is given the names of. Not
    for the event loop, and neither are ``refresh`` and ``together_with``.
    """

    def __init__(self, file: Path | None, load: Callable[[Collection[str]], list[Rule]]) -> None:
        self._file = file
        self._load = load
        self._from_file = read_rules_file(file) if file else []
        self._read_at = self._changed_at()
        self.rules: tuple[Rule, ...] = tuple(self._from_file)

    def refresh(self) -> None:
        """Take over what has changed; a file that has become unreadable stays as it was."""
        changed_at = self._changed_at()
        if self._file is not None and changed_at != self._read_at:
            self._read_at = changed_at
            try:
                self._from_file = read_rules_file(self._file)
            except RulesFileError as error:
                logger.error("The rules of before stay in force. %s", error)
        self.rules = self.together_with(())

    def together_with(self, names: Collection[str]) -> tuple[Rule, ...]:
        """The rules in force and the admin's rules of these names, all in their order."""
        return (*self._from_file, *self._load(names))

    def effect(self, request: GatewayRequest, analysis: PromptAnalysis) -> Effect:
        """What the rules want of ``request``."""
        if not self.rules:
            return NO_EFFECT
        return effect_of(self.rules, subject_of(request, analysis))

    def _changed_at(self) -> float | None:
        try:
            return self._file.stat().st_mtime if self._file else None
        except OSError:
            return None


def subject_of(request: GatewayRequest, analysis: PromptAnalysis) -> Subject:
    return Subject(
        prompt=request.prompt,
        pattern=analysis.pattern,
        tier=analysis.tier,
        tokens=analysis.token_count,
        at=request.asked_at,
        user_id=request.user_id,
        tags=request.tags,
    )
