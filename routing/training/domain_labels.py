"""The domains of recorded prompts, by their benchmark and topic."""

from __future__ import annotations

import numpy as np

from routing.learning.domains import DOMAINS
from routing.learning.predictor import Floats
from routing.outcomes import RecordedPrompt
from routing.training.abilities import topic_of
from routing.training.families import family_of

_OF_FAMILY = {
    "word problems": "maths",
    "mathematics": "maths",
    "code": "code",
    "logic": "instruction",
    "common sense": "language",
    "open questions": "knowledge",
}
_OF_TOPIC = {
    "maths": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics "
    "high_school_statistics math",
    "code": "college_computer_science high_school_computer_science computer_science",
}
_COMPUTED = (
    *("physics", "college_physics", "high_school_physics", "conceptual_physics", "engineering"),
    *("electrical_engineering", "chemistry", "college_chemistry", "high_school_chemistry"),
    "econometrics",
)
"""Topics whose questions ask for knowledge and for a calculation."""
_WRITTEN = ("commongen",)


def domain_labels(prompt: RecordedPrompt) -> Floats:
    """Return the loadings of a recorded prompt, (domains,), 1 in all.

    Benchmarks that nothing is known of count as knowledge.
    """
    labels = np.zeros(len(DOMAINS))
    topic = topic_of(prompt).rpartition("/")[2].replace(" ", "_")
    if topic in _COMPUTED:
        labels[[DOMAINS.index("maths"), DOMAINS.index("knowledge")]] = 0.5
        return labels
    by_topic = next((name for name, topics in _OF_TOPIC.items() if topic in topics.split()), None)
    written = "language" if any(part in prompt.benchmark for part in _WRITTEN) else "knowledge"
    name = by_topic or _OF_FAMILY.get(family_of(prompt.benchmark), written)
    labels[DOMAINS.index(name)] = 1.0
    return labels
