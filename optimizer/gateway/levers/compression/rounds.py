"""The rounds in which a model answers that asks for originals, and when they end.

After :data:`MOST_ROUNDS` rounds, or where the client would see nothing of them, the model gets the
client's own request, in which nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.gateway.levers.compression.hidden import (
    NOTHING_SEEN,
    Cut,
    HiddenRound,
    answer_name,
    as_stored,
    continued_chat,
    hidden_calls,
    is_hidden,
    seen,
    unnamed_call,
)
from optimizer.gateway.levers.compression.sending import Sending
from providers.attempts import Attempt
from providers.chat import Chat, Text, ToolCall
from providers.completion import Completion, Opaque
from providers.errors import EmptyCompletion

MOST_ROUNDS = 4
_USUAL_ENDINGS = frozenset({"stop", "tool_calls"})


@dataclass(slots=True)
class Rounds:
    """The rounds of one answer so far."""

    sending: Sending
    asked: Chat
    chat: Chat
    answers: list[Completion] = field(default_factory=list)
    hidden: list[HiddenRound] = field(default_factory=list)
    cut: Cut = NOTHING_SEEN
    _asked_twice: bool = field(default=False, init=False)

    def end(self, completion: Completion) -> bool:
        """Add the answer of a round; return whether it is the last one."""
        calls = hidden_calls(completion)
        parts = completion.choices[0].parts
        self.answers.append(completion)
        self.cut = seen(parts, self.cut)
        if self.whole_again:
            # A call of a tool that is not there any more is no answer.
            again = bool(calls) and self._is_empty(self.answers[-1:]) and not self._asked_twice
            self._asked_twice = True
            return not again
        if not calls:
            if self.hidden and self._is_empty(self.answers):
                self.chat = self.asked
                return False
            return True
        joined = any(isinstance(part, ToolCall) and not is_hidden(part) for part in parts)
        self.hidden.append(HiddenRound(self.cut, calls, joined))
        if joined:
            return True
        if len(self.answers) > MOST_ROUNDS:
            self.chat = self.asked
            return False
        messages = continued_chat(self.chat, completion, calls, self.sending.original)
        self.chat = self.sending.continued(self.chat, messages, completion, calls)
        return False

    def after_failure(self, attempts: Sequence[Attempt]) -> bool:
        """Return whether the model is asked again, as its last round had no answer in it."""
        empty = bool(attempts) and attempts[-1].error == EmptyCompletion.code
        if not empty or not self.hidden or self.whole_again:
            return False
        self.chat = self.asked
        return True

    @staticmethod
    def _is_empty(answers: Sequence[Completion]) -> bool:
        """Return whether the client sees nothing of answers that ended as usual."""
        if answers[-1].choices[0].finish_reason not in _USUAL_ENDINGS:
            return False
        choices = [answer.choices[0] for answer in answers]
        return not any(
            choice.refusal
            or any(isinstance(part, Opaque) for part in choice.parts)
            or any(isinstance(part, Text) and part.text.strip() for part in choice.parts)
            or any(isinstance(part, ToolCall) and not is_hidden(part) for part in choice.parts)
            for choice in choices
        )

    @property
    def whole_again(self) -> bool:
        """Return whether the model gets the client's own request now."""
        return self.chat is self.asked

    def stored(self) -> dict[str, str]:
        """Return what is to be stored of the hidden rounds, by the names of the answer.

        Nothing if the last answer was not built on them.
        """
        if not self.hidden or self.whole_again:
            return {}
        parts = [part for answer in self.answers for part in answer.choices[0].parts]
        calls = [part for part in parts if isinstance(part, ToolCall) and not is_hidden(part)]
        text = "".join(part.text for part in parts if isinstance(part, (Text, Opaque)))
        names = [answer_name([call.id for call in calls], text)]
        source = self.asked.source
        if calls and source is not None and source.wire == "gemini":
            # Its clients do not repeat the ids of calls that came without one.
            names.append(answer_name([unnamed_call(calls[0].name, calls[0].input)], text))
        return dict.fromkeys(names, as_stored(self.hidden))
