"""Messages as Slack, Teams, webhooks and mailboxes take them.

Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (a JSON body with
text and blocks) and https://docs.slack.dev/reference/block-kit/blocks (50 blocks; 150 characters in
a header, 3,000 in a section, 10 fields of 2,000 each).
Teams: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
(Workflows take Adaptive Cards, and no cards of the retired connectors) and
https://learn.microsoft.com/microsoftteams/limits-specifications-teams (28 KB a message).
"""

from __future__ import annotations

import json

from analytics.alerts.formats import mail_parts, slack_body, teams_body, webhook_json
from analytics.alerts.notice import Notice, Section

MESSAGE = Notice(
    "Weekly: 2026-11-16 to 2026-11-22",
    "Team R&D <b> spent $12.00.",
    [("Spent", "$12.00, +20 %"), ("Saved", "$5.00 (95 %: $4.00 to $6.00)")],
    [Section("Models that moved", ["openai/gpt_5*: $4.00", "<!channel> [x](http://y)"])],
    {"digest": "Weekly", "spent": 12.0},
)


def large() -> Notice:
    lines = [f"line {n} " + "x" * 200 for n in range(400)]
    return Notice("t" * 500, "a" * 9000, [("f" * 3000, "v" * 3000)] * 25, [Section("s", lines)] * 9)


def test_slack_takes_blocks_and_a_text() -> None:
    body = slack_body(MESSAGE)
    kinds = [block["type"] for block in body["blocks"]]
    assert kinds == ["header", "section", "section", "section"]
    assert body["blocks"][0]["text"]["type"] == "plain_text"
    assert body["text"] == "Team R&amp;D &lt;b&gt; spent $12.00."
    moved = body["blocks"][3]["text"]["text"]
    assert "<!channel>" not in moved
    assert "](http" not in moved
    assert "gpt_5" not in moved  # a joiner stands before what could begin italics


def test_slack_s_limits_are_kept() -> None:
    body = slack_body(large())
    assert len(body["blocks"]) <= 50
    for block in body["blocks"]:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        elif "fields" in block:
            assert len(block["fields"]) <= 10
            assert all(len(one["text"]) <= 2000 for one in block["fields"])
        else:
            assert len(block["text"]["text"]) <= 3000


def test_teams_takes_one_adaptive_card() -> None:
    body = teams_body(MESSAGE)
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    kinds = [element["type"] for element in card["body"]]
    assert kinds == ["TextBlock", "TextBlock", "FactSet", "TextBlock", "TextBlock", "TextBlock"]
    assert card["body"][2]["facts"][0] == {"title": "Spent", "value": "$12.00, +20 %"}
    assert "](http" not in json.dumps(body)


def test_teams_limit_is_kept() -> None:
    lines = [f"line {n} " + "x" * 200 for n in range(400)]
    message = Notice("title", "text", [], [Section("first", lines[:3]), Section("last", lines)])
    body = teams_body(message)
    assert len(json.dumps(body).encode()) < 28 * 1024
    texts = [element["text"] for element in body["attachments"][0]["content"]["body"]]
    assert texts[:3] == ["title", "text", "first"]
    assert texts[-1] == "…"


def test_a_webhook_gets_text_and_data() -> None:
    assert webhook_json(MESSAGE) == {
        "text": "Team R&amp;D &lt;b&gt; spent $12.00.", "digest": "Weekly", "spent": 12.0,
    }  # fmt: skip


def test_a_mailbox_gets_text_and_html() -> None:
    subject, text, html = mail_parts(MESSAGE)
    assert subject == "Weekly: 2026-11-16 to 2026-11-22"
    assert "Spent: $12.00, +20 %" in text
    assert "- openai/gpt_5*: $4.00" in text
    assert "Team R&amp;D &lt;b&gt; spent $12.00." in html
    assert "<b>" not in html
    assert "<script" not in html
