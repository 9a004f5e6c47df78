"""Messages in the formats of Slack, Microsoft Teams, webhooks and e-mail.

No text in them is a link, a mention or markup of a client. Sources: Slack's incoming webhooks and
Block Kit (docs.slack.dev), Teams' Workflows webhooks with Adaptive Cards (learn.microsoft.com,
"Create and send messages" and "Teams limits").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.template.loader import render_to_string

from analytics.alerts.notice import Notice, Section
from analytics.exports.messages import chat_text, mail_subject
from analytics.exports.printable import printable

_SLACK_HEADER, _SLACK_TEXT, _SLACK_BLOCKS = 150, 3000, 50
_SLACK_FIELDS, _SLACK_FIELD = 10, 2000
_TEAMS_BYTES = 27_000
"""Teams takes 28 kB with what Workflows adds."""
_TEAMS_VERSION = "1.4"
_CUT = "…"


def slack_body(message: Notice) -> dict[str, Any]:
    """Return the body for an incoming webhook of Slack: blocks, and a text for notifications."""
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": _short(printable(message.title), _SLACK_HEADER)},
        }
    ]
    if message.text:
        blocks.append(_slack_section(chat_text(message.text)))
    for start in range(0, len(message.facts), _SLACK_FIELDS):
        facts = message.facts[start : start + _SLACK_FIELDS]
        blocks.append({
            "type": "section",
            "fields": [
                {
                    "type": "mrkdwn",
                    "text": _short(f"*{_slack(name)}*\n{_slack(value)}", _SLACK_FIELD),
                }
                for name, value in facts
            ],
        })  # fmt: skip
    for section in message.sections:
        lines = "\n".join(f"• {_slack(line)}" for line in section.lines)
        blocks.append(_slack_section(f"*{_slack(section.heading)}*\n{lines}"))
    text = chat_text(message.text or message.title)
    return {"text": _short(text, _SLACK_TEXT), "blocks": blocks[:_SLACK_BLOCKS]}


def _slack_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _short(text, _SLACK_TEXT)}}


def _slack(text: str) -> str:
    """Return text in which no star, underscore, tilde or backtick is markup."""
    joiner = "\u2060"
    return "".join(joiner + mark if mark in "*_~" else mark for mark in chat_text(text))


def teams_body(message: Notice) -> dict[str, Any]:
    """Return the body for a Workflows webhook of Teams: a message with one Adaptive Card.

    Sections are left out from the end on until the card is small enough.
    """
    sections = list(message.sections)
    while True:
        body = _teams_message(message, sections)
        if not sections or len(json.dumps(body).encode()) <= _TEAMS_BYTES:
            return body
        sections = _without_last_half(sections)


def _without_last_half(sections: Sequence[Section]) -> list[Section]:
    *others, last = sections
    if len(last.lines) < 2:
        return others
    kept = last.lines[: len(last.lines) // 2]
    return (
        [*others, Section(last.heading, [*[line for line in kept if line != _CUT], _CUT])]
        if (len(kept) > 1)
        else others
    )


def _teams_message(message: Notice, sections: Iterable[Section]) -> dict[str, Any]:
    body: list[dict[str, Any]] = [
        _teams_block(message.title, size="Medium", weight="Bolder"),
    ]
    if message.text:
        body.append(_teams_block(message.text))
    if message.facts:
        body.append({
            "type": "FactSet",
            "facts": [
                {"title": _teams(name), "value": _teams(value)} for name, value in message.facts
            ],
        })  # fmt: skip
    for section in sections:
        body.append(_teams_block(section.heading, weight="Bolder"))
        body += [_teams_block(line, spacing="None") for line in section.lines]
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": _TEAMS_VERSION,
                    "msteams": {"width": "Full"},
                    "body": body,
                },
            }
        ],
    }


def _teams_block(text: str, **options: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _teams(text)[:4000], "wrap": True, **options}


def _teams(text: str) -> str:
    """Return text in which nothing is Markdown."""
    joiner = "\u2060"
    return "".join(mark + joiner if mark in "*_[" else mark for mark in chat_text(text))


def webhook_json(message: Notice) -> dict[str, Any]:
    """Return the body for a webhook of programs; its text is fit for chat services."""
    return {"text": chat_text(message.text or message.title), **message.data}


def mail_parts(message: Notice) -> tuple[str, str, str]:
    """Return subject, plain text and HTML of an e-mail."""
    lines = [printable(message.text)] if message.text else []
    if message.facts:
        lines += ["", *(printable(f"{name}: {value}") for name, value in message.facts)]
    for section in message.sections:
        lines += ["", printable(section.heading), *(f"- {printable(x)}" for x in section.lines)]
    shown = {
        "title": printable(message.title),
        "text": printable(message.text),
        "facts": [(printable(name), printable(value)) for name, value in message.facts],
        "sections": [
            (printable(each.heading), [printable(line) for line in each.lines])
            for each in message.sections
        ],
    }
    html = render_to_string("analytics/notification.html", shown)
    return mail_subject(message.title), "\n".join(lines), html


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _CUT
