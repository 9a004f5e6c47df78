"""The words of people in a conversation, without what agents put around them.

Agents send reminders, the state of their environment, outputs of commands and instructions in
the user's turns. Providers get all of it. What is analyzed, stored and shown as the prompt is
what a person wrote. Each text is read once, in time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from providers.chat import Message, Text

_WRAPPERS = frozenset({
    # Claude Code
    "system-reminder", "command-name", "command-message", "command-contents",
    "local-command-stdout", "local-command-stderr", "local-command-caveat", "bash-stdout",
    "bash-stderr", "user-prompt-submit-hook", "task-notification", "ide_opened_file",
    "ide_selection", "ide_diagnostics", "env",
    # Codex
    "environment_context", "user_instructions", "INSTRUCTIONS", "permissions_instructions",
    "collaboration_mode", "skills_instructions", "apps_instructions", "plugins_instructions",
    "subagent_notification", "turn_aborted", "user_shell_command", "model_switch",
    # Gemini CLI
    "session_context", "hook_context", "loaded_context",
    # Cline, Cursor, OpenCode
    "environment_details", "additional_data", "attached_files", "open_files", "file_contents",
    "project_context", "workspace_info",
})  # fmt: skip
"""Elements that hold context, by their tags."""
_PEOPLE = frozenset(
    {"user_query", "task", "user_message", "feedback", "command-args", "bash-input"}
)
"""Elements that hold a person's words among context."""
_TAG = re.compile(r"<([A-Za-z][\w-]{1,40})(?: [^<>\n]{0,80})?>")
# Openings with which the whole text is context.
_PREAMBLES = ("This is the Gemini CLI.",)
_AGENTS_FILE = re.compile(r"# AGENTS\.md instructions[^\n]{0,4096}(?:\n|$)")
_REQUEST_OF_IDE = "## My request for Codex:"
_IDE_OPENING = "# Context from my IDE setup:"


def human_words(text: str) -> str:
    """Return what a person wrote of ``text``; empty if all of it is context."""
    if text.startswith(_IDE_OPENING) and (at := text.rfind(_REQUEST_OF_IDE)) >= 0:
        text = text[at + len(_REQUEST_OF_IDE) :].strip()
    elif text.lstrip()[:40].startswith(_PREAMBLES):
        return ""
    kept = "".join(_kept(text))
    return text if len(kept) == len(text) else kept.strip()


def _kept(text: str) -> Iterator[str]:
    """Yield the parts of ``text`` that are no context.

    A wrapper is an element that begins a line and is closed: a tag in a sentence is the
    person's.
    """
    at, ends = 0, _ClosingTags(text)
    begins_line = True  # whether everything since the line's beginning was context
    while (tag := _TAG.search(text, at)) is not None:
        between = text[at : tag.start()]
        line = between[between.rfind("\n") + 1 :]
        begins_line = not line.strip() and (begins_line or "\n" in between)
        name = tag.group(1)
        end = -1
        if begins_line and (name in _WRAPPERS or name in _PEOPLE):
            end = ends.after(name, tag.end())
        if end < 0:
            begins_line = False
            yield text[at : tag.end()]
            at = tag.end()
            continue
        yield _AGENTS_FILE.sub("", between) if "# AGENTS.md" in between else between
        if name in _PEOPLE:
            yield text[tag.end() : end]
        at = end + len(name) + 3
        begins_line = True
    yield text[at:]


class _ClosingTags:
    """Finds closing tags; a tag that is missing from the rest of the text is sought once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: dict[str, int] = {}

    def after(self, name: str, start: int) -> int:
        """Return where the next closing tag of ``name`` begins, -1 if there is none."""
        known = self._next.get(name)
        if known is None or -1 < known < start:
            known = self._next[name] = self._text.find(f"</{name}>", start)
        return known


def words_of_turn(message: Message) -> str:
    """Return what a person wrote in ``message``, one text part per line."""
    if len(message.parts) == 1:
        part = message.parts[0]
        return human_words(part.text) if isinstance(part, Text) else ""
    texts = (human_words(part.text) for part in message.parts if isinstance(part, Text))
    return "\n".join(filter(None, texts))
