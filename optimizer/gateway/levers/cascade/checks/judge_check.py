"""A model judges whether the answer is good enough to be served."""

from __future__ import annotations

from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Verdict
from optimizer.quality.judge_prompt import conversation_text, grade_of, question_of_one
from routing.models import ModelRef


class JudgeCheck:
    """Applies to texts without tools. ``model`` is asked; its call is charged to the request."""

    name = "judge"

    def __init__(self, model: ModelRef) -> None:
        self.model = model

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return the judge's verdict, undecided if it gives none."""
        text = answer.completion.text
        if not text.strip():
            return Verdict(self.name, "undecided", "the answer has no text")
        asked = question_of_one(conversation_text(answer.chat), text)
        judged = await answer.ask(self.model, asked, "judged the first answer")
        if judged is None:
            return Verdict(self.name, "undecided", "the judge did not answer")
        good = grade_of(judged.text)
        if good is None:
            return Verdict(self.name, "undecided", "the judge gave no verdict")
        if good:
            return Verdict(self.name, "passed", f"{self.model} holds it to be good")
        return Verdict(self.name, "failed", f"{self.model} holds it not to be good enough")
