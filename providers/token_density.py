"""How many tokens providers count for each that is estimated: learned from what they report.

Estimates are made alike for all models, but tokenizers differ, and so do the texts of clients.
Where a report is missing, an estimate counts as many times as the reports before it say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from providers.chat import Chat
from providers.completion import Usage
from providers.usage_estimates import charged_input

_LEAST_ANSWERS = 20
_EVERY = 16
"""Once a model is known, one answer of so many is learned from, as estimating takes time."""
_MOST_TOKENS = 2_000_000
"""Older reports count half once there are so many tokens."""
_MOST_MODELS = 1_000
_LEAST, _MOST = 0.5, 3.0


@dataclass(slots=True)
class _Known:
    """Input tokens of a model as reported and as estimated."""

    answers: int = 0
    reported: int = 0
    estimated: int = 0


class TokenDensity:
    """The tokens reported for each that is estimated, by model. Use it on one thread."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _Known] = {}
        self._seen = 0

    def learn(self, provider: str, model: str, chat: Chat, usage: Usage) -> None:
        """Compare the estimated input of an answered ``chat`` with the reported ``usage``."""
        self._seen += 1
        known = self._models.get((provider, model))
        if known is None:
            # Clients may invent names without end.
            if len(self._models) >= _MOST_MODELS:
                self._models.clear()
            known = self._models[provider, model] = _Known()
        if known.answers >= _LEAST_ANSWERS and self._seen % _EVERY:
            return
        if chat.large and chat.survey is None:  # estimating it would take long
            return
        known.answers += 1
        known.reported += usage.input_tokens
        known.estimated += charged_input(chat)
        if known.estimated > _MOST_TOKENS:
            known.reported //= 2
            known.estimated //= 2

    def of(self, provider: str, model: str) -> float:
        """Return the tokens for each estimated one; 1 while too few reports are known."""
        known = self._models.get((provider, model))
        if known is None or known.answers < _LEAST_ANSWERS or not known.estimated:
            return 1.0
        return min(max(known.reported / known.estimated, _LEAST), _MOST)

    def corrected(
        self, provider: str, model: str, chat: Chat, usage: Usage, *, written: bool = True
    ) -> Usage:
        """Return estimated ``usage`` with the tokens that such an estimate stands for.

        ``written`` is whether its output was estimated from a text, and not from a limit.
        """
        times = self.of(provider, model)
        if times == 1.0:
            return usage
        tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
        if tokens_in == charged_input(chat):  # else it was reported
            tokens_in = round(tokens_in * times)
        if written:
            tokens_out = round(tokens_out * times)
            allowed = (chat.max_tokens or tokens_out) * chat.n
            if usage.output_tokens <= allowed:
                tokens_out = min(tokens_out, allowed)
        return replace(usage, input_tokens=tokens_in, output_tokens=tokens_out)
