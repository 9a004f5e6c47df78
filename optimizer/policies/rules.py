"""The active rules: those of the file first, then the admin's; read again when they change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optimizer.domain.client import Client
from optimizer.domain.request import GatewayRequest, only_text
from optimizer.shared.snapshot import Snapshot
from providers.residency import NO_RESIDENCY
from providers.toml_file import read_toml
from routing.models import PromptAnalysis
from routing.rule_parser import RuleError, read_rule
from routing.rules import NO_EFFECT, Effect, Match, Rule, Subject, effect_of

logger = logging.getLogger(__name__)
_BINDS_ALL = frozenset({"forbid", "force"})
"""The actions that hold for every request, not for chats alone."""


class RulesFileError(Exception):
    """The rules file cannot be read; the message names the file and the rule."""


def read_rules_file(path: Path) -> list[Rule]:
    """Return the ``[[rules]]`` of a TOML file, in order. Raises :class:`RulesFileError`."""
    raw = read_toml(path, RulesFileError)
    if set(raw) - {"rules"}:
        raise RulesFileError(f"{path}: may only hold [[rules]]")
    return read_rule_entries(raw.get("rules", []), str(path), RulesFileError)


def read_rule_entries(entries: Any, where: str, error_type: type[Exception]) -> list[Rule]:
    """Return the rules of TOML entries; raise ``error_type``, naming ``where`` and the rule."""
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
    """The rules that apply to requests now: the file's, then the admin's.

    ``load`` reads the admin's rules that are switched on, and also those whose names it gets.
    It reads the database, so do not call ``refresh`` and ``together_with`` on the event loop.
    ``version`` returns a value that differs once one of the admin's has changed.
    """

    def __init__(
        self,
        file: Path | None,
        load: Callable[[Collection[str]], list[Rule]],
        version: Callable[[], object] | None = None,
    ) -> None:
        self._file = file
        self._load = load
        self._from_file = read_rules_file(file) if file else []
        self._read_at = self._changed_at()
        self._admins = Snapshot(lambda: load(()), version)
        self.rules: tuple[Rule, ...] = tuple(self._from_file)
        self._derive()

    def refresh(self) -> None:
        """Read the rules that have changed; if the file is unreadable now, keep its last rules."""
        changed_at = self._changed_at()
        changed = self._admins.refresh()
        if self._file is not None and changed_at != self._read_at:
            changed = True
            self._read_at = changed_at
            try:
                self._from_file = read_rules_file(self._file)
            except RulesFileError as error:
                logger.error("The last readable rules stay active. %s", error)
        if changed:
            self.rules = (*self._from_file, *(self._admins.value or ()))
            self._derive()

    def together_with(self, names: Collection[str]) -> tuple[Rule, ...]:
        """Return the active rules and the admin's rules with these names, in order."""
        return (*self._from_file, *self._load(names))

    def effect(self, request: GatewayRequest, analysis: PromptAnalysis) -> Effect:
        """Return the effect of the active rules on ``request``."""
        if not self.rules:
            return NO_EFFECT
        # Whether a request is text alone is found only where a rule asks for it.
        text_alone = self._asks_for_text and only_text(request.chat)
        return effect_of(self.rules, subject_of(request, analysis, text_alone=text_alone))

    @property
    def bind_all(self) -> bool:
        """Whether a rule binds requests that are no chats, or are not routed."""
        return bool(self._binding)

    def demands(
        self, request: GatewayRequest, analysis: PromptAnalysis | None = None, text: str = ""
    ) -> Effect:
        """Return what rules demand of a request that is no chat, or is not routed.

        That is which models must not answer, and the regions that its data must not leave.
        ``text`` is all of its text, if that is more than its prompt.
        """
        if not self._binding:
            return NO_EFFECT
        text_alone = self._asks_for_text and only_text(request.chat)
        subject = subject_of(request, analysis or request.analyze(), text_alone=text_alone)
        if text:
            subject = replace(subject, prompt=text)
        return effect_of(self._binding, subject)

    def residency_of_unread(self, client: Client) -> frozenset[str]:
        """Return the regions that rules may name for what is passed on without being read.

        What is not known of it meets every condition.
        """
        if not any(rule.residency for rule in self._binding):
            return NO_RESIDENCY
        subject = Subject("", "", "", 0, datetime.now(UTC), client.user, client.tags)
        known = (
            replace(
                rule,
                match=Match(
                    tags=rule.match.tags,
                    users=rule.match.users if client.user else (),
                    weekdays=rule.match.weekdays,
                    since=rule.match.since,
                    until=rule.match.until,
                    zone=rule.match.zone,
                ),
            )
            for rule in self._binding
            if rule.residency
        )
        return effect_of(known, subject).residency

    def _derive(self) -> None:
        """Keep what follows from the rules: it is asked for far more often than they change."""
        self._asks_for_text = any(rule.match.only_text for rule in self.rules)
        self._binding = tuple(
            Rule(
                rule.name,
                rule.match,
                rule.action if rule.action in _BINDS_ALL else "",
                rule.models,
                residency=rule.residency,
            )
            for rule in self.rules
            if rule.residency or rule.action in _BINDS_ALL
        )

    def _changed_at(self) -> float | None:
        try:
            return self._file.stat().st_mtime if self._file else None
        except OSError:
            return None


def subject_of(
    request: GatewayRequest, analysis: PromptAnalysis, *, text_alone: bool = False
) -> Subject:
    """Return the part of a request that rules are matched against.

    ``text_alone`` is whether it has neither tools nor images nor documents.
    """
    return Subject(
        prompt=request.prompt,
        pattern=analysis.pattern,
        tier=analysis.tier,
        tokens=analysis.token_count,
        at=request.asked_at,
        user_id=request.user_id,
        tags=request.tags,
        turn=request.turn,
        agent=request.session.agent,
        requested_model=request.requested_model,
        only_text=text_alone,
    )
