"""Texts for e-mails and chat services: no link, mention or header in them is a client's."""

from __future__ import annotations

import re

from analytics.exports.printable import printable

_MOST_SUBJECT = 120
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[&<>]")
# A joiner that takes no space ends what chat services would read as a link or a mention.
_JOINER = "\u2060"
_LINK = re.compile(r"\](?=\()|!(?=\[)|:(?=//)|(?i:\bwww)(?=\.)|(?<![^\W_])@|`")


def mail_subject(text: str) -> str:
    """Return ``text`` as the one line of a subject."""
    return printable(text)[:_MOST_SUBJECT]


def chat_text(text: str) -> str:
    """Return ``text`` for chat services.

    Slack and Teams read ``<…>``, ``[…](…)``, ``@channel`` and addresses; they show the entities
    of ``&``, ``<`` and ``>`` as these characters.
    """
    text = _LINK.sub(lambda match: match[0] + _JOINER, printable(text))
    return _MARKUP.sub(lambda match: _ENTITIES[match[0]], text)
