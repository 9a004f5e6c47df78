"""The core of a prompt: what is asked, without the wording around it.

A greeting, "please", "Question:", "Answer:", "think step by step" and the way options are written
say nothing about how hard a question is. Routing reads the core, so that a reworded prompt is
routed as the first one was. The provider gets the prompt as it is.
"""

from __future__ import annotations

import re

_ENDS = 400
"""Characters at the beginning and at the end in which wording around the question is searched."""
_MOST_REMOVED = 6
"""Phrases that are removed at each end; few prompts have more."""

_POLITE = r"(?:please|kindly)"
_ITEM = r"(?:multiple[- ]choice )?(?:question|problem|task|exercise|puzzle|request|prompt|query)"
_HEADS = (
    # Greetings, which end with a mark or are followed by a capital or by "please" and "can you".
    (
        r"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day)|dear)"
        r"(?: (?:there|all|everyone|assistant|team|claude|chatgpt|gpt|gemini|sir or madam))?"
        r"(?:[,.!:]+\s+|\s*\n\s*|\s+(?=(?:please|kindly|can|could|would|will) ))"
    ),
    rf"{_POLITE},? +(?=\w)",
    (
        rf"(?:can|could|would|will) you (?:{_POLITE} )?(?:help me (?:to |with )?)?"
        rf"(?:(?:a|an|the|my|this|one)(?: following)? {_ITEM}[.:,?!]\s*|(?=\w))"
    ),
    r"(?:tell|show) me (?=(?:what|who|whom|whose|how|where|when|why|which|whether) )",
    r"i(?: would|'d) (?:like|love) (?:you )?to (?=\w)",
    (
        r"(?:i have|here is|here's|this is|below is|consider|take a look at) "
        rf"(?:a|an|the|my|this|one) (?:following )?{_ITEM}(?: for you)?[.:,]\s*"
    ),
    (
        rf"(?:{_POLITE} )?(?:answer|solve|read|consider|complete|do) (?:the|this)(?: following)? "
        rf"{_ITEM}s?(?: (?:carefully|below|about [^\n.:]{{1,60}}))?"
        r"(?: and (?:choose|select|pick|give) the (?:correct|right|best) (?:answer|option|choice))?"
        r"[.:]\s*"
    ),
    (
        r"the following (?:is|are) (?:a )?multiple[- ]choice questions?(?: \(with answers\))?"
        r"(?: about [^\n.:]{1,60})?[.:]\s*"
    ),
    (
        r"you are (?:a|an) (?:helpful|expert|knowledgeable|intelligent|friendly)"
        r"(?: (?:and )?(?:helpful|honest|harmless|polite|concise|AI|research))*"
        r"(?: (?:assistant|expert|teacher|tutor|professor))?[.!]\s*"
    ),
    rf"[#*]*\s*(?:{_ITEM}|q|instruction|instructions|input|user)(?: \d+)?\s*[:#*]+\s+",
)
_LETTER = r"(?:letter|option|choice|answer|number|result)"
_SURE = r"(?:correct|right|best|final|single|chosen|most likely)"
_TAILS = (
    r"(?:many )?thank(?:s| you)(?: (?:so|very) much)?(?: in advance| for (?:your|the) help)?[.!]*",
    rf"{_POLITE}[.!]*",
    r"[#*]*\s*(?:answer|a|solution|response|output|assistant)\s*:[*]*",
    (
        rf"(?:{_POLITE} )?(?:let's |let us )?(?:think|reason|work)"
        r"(?: (?:about|through) (?:it|this))?,? step[- ]by[- ]step"
        r"(?:,? (?:and|then) (?:put|give|write|state) (?:your|the) final answer[^\n]{0,60})?[.!]*"
    ),
    (
        rf"(?:{_POLITE} )?(?:explain|show) your (?:reasoning|work|working|steps|thinking)"
        r"(?: (?:first|briefly|step by step))?[.!]*"
    ),
    r"after careful thought, put you(?:r)? final answer in [^\n]{1,40}",
    (
        rf"(?:{_POLITE} )?(?:put|place|write|box|give|state|return|provide) (?:only )?(?:your|the) "
        rf"(?:{_SURE} )*(?:answer|result|{_LETTER})"
        r"(?: (?:in|within|inside|as|after|at) [^\n]{1,60})?[.!]*"
    ),
    (
        rf"(?:{_POLITE} )?(?:answer|respond|reply)(?: only)? with (?:only |just )?(?:the|a|one) "
        rf"(?:{_SURE} )*{_LETTER}(?: (?:of|from) [^\n.]{{1,50}})?(?: only)?(?: \([^\n)]{{1,20}}\))?"
        r"[.!]*"
    ),
    (
        rf"(?:{_POLITE} )?(?:choose|select|pick) (?:the|one|only one)(?: {_SURE})*(?: of the)? "
        rf"{_LETTER}s?(?: (?:from|of|below|above)[^\n.]{{0,50}})?[.!]*"
    ),
    r"(?:be|keep it) (?:concise|brief|short)[.!]*",
)
# Possessive quantifiers: a run of white space is tried once, and not from each of its places.
# A phrase at the end follows the end of a sentence, so that "say thanks" keeps its thanks.
_HEAD = re.compile("|".join(f"(?:{head})" for head in _HEADS), re.IGNORECASE)
_TAIL = re.compile(
    r"(?:(?<=[.!?;)\]}\"'])\s++|[^\S\n]*+\n\s*+)(?:"
    + "|".join(f"(?:{t})" for t in _TAILS)
    + r")\s*\Z",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "「": "」"}
_OPENINGS = (*_QUOTES, "<", ">")
_TAG = re.compile(
    r"<(question|problem|task|request|prompt|query|input|user|instructions?|message)>\s*", re.I
)
_QUOTED = re.compile(r">(?:\s|\Z)")
"""A line of a quote; neither ">= 3" nor ">>> print()"."""
_MARKED = re.compile(r"^ {0,3}> ?", re.MULTILINE)

_LABELS = "abcdefghij"
_OPTION_LINE = re.compile(
    r"^[ \t]*(?:[-*•] *)?\**[(\[]?([A-Ja-j])\**(?:[)\].:]| -)\**[ \t]+(?=\S)", re.MULTILINE
)
_NUMBERED = re.compile(r"^[ \t]*[(\[]?(\d{1,2})(?:[)\].:]| -)[ \t]+(?=\S)", re.MULTILINE)
_INLINE = re.compile(r"(?<=[\s?:;,.])[(\[]([A-Ja-j])[)\]][ \t]*(?=\S)")
_HEADING = re.compile(
    r"^[ \t#*]*(?:options|choices|answer choices|possible answers|answers)[ \t]*:[ \t*]*\n",
    re.IGNORECASE | re.MULTILINE,
)
_FEWEST_OPTIONS = 3
_SPACES = re.compile(r"[ \t\u00a0]{2,}|\u00a0")
UNEVEN = re.compile(r"[\n\t\u00a0(\[]|  ")
"""What a text contains that :func:`evened` changes; it returns any other text as it is."""
_LINES = re.compile(r"[ \t]?\r?\n\s*")


def core_of(prompt: str) -> str:
    """Return ``prompt`` without greeting, politeness, labels and instructions about the form.

    It is never empty unless ``prompt`` is blank.
    """
    core = prompt.strip()
    if core.startswith(_OPENINGS):
        core = _unquoted(core)
    head = core[:_ENDS]
    for _ in range(_MOST_REMOVED):
        match = _HEAD.match(head)
        if match is None or match.end() >= len(core):
            break
        core = core[match.end() :]
        head = core[:_ENDS]
    for _ in range(_MOST_REMOVED):
        tail = core[-_ENDS:]
        match = _TAIL.search(tail)
        if match is None or len(tail) - match.start() >= len(core):
            break
        core = core[: len(core) - len(tail) + match.start()]
    core = core.strip()
    if core.startswith(_OPENINGS):
        core = _unquoted(core)
    return core or prompt.strip()


def evened(sample: str) -> str:
    """Return ``sample`` with single spaces, no blank lines, and options written as "A. text"."""
    if "  " in sample or "\t" in sample or "\u00a0" in sample:
        sample = _SPACES.sub(" ", sample)
    if "\n" in sample:
        sample = _LINES.sub("\n", sample)
    if "\n" in sample or "(" in sample or "[" in sample:
        sample = _with_plain_options(sample)
    return sample


def _unquoted(text: str) -> str:
    """Return ``text`` without the quotes, or the tag, around the whole of it."""
    if text.startswith("<") and (tag := _TAG.match(text)) and text.endswith(f"</{tag[1]}>"):
        text = text[tag.end() : -len(tag[1]) - 3].rstrip()
    while len(text) > 2 and (closing := _QUOTES.get(text[0])) and text[-1] == closing:
        inside = text[1:-1]
        if text[0] in inside or closing in inside:
            break
        text = inside.strip()
    if text.startswith(">") and all(map(_QUOTED.match, text[:_ENDS].split("\n")[:3])):
        text = _MARKED.sub("", text)
    return text


def _with_plain_options(sample: str) -> str:
    if "\n" in sample:
        for pattern, labels in ((_OPTION_LINE, _LABELS), (_NUMBERED, "")):
            marks = _ascending([*pattern.finditer(sample)], labels)
            if marks and (labels or _asks(sample[: marks[0].start()])):
                return _HEADING.sub("", _relabelled(sample, marks, ""))
    if "(" in sample or "[" in sample:
        marks = _ascending([*_INLINE.finditer(sample)], _LABELS)
        if marks:
            return _HEADING.sub("", _relabelled(sample, marks, "\n"))
    return sample


def _ascending(marks: list[re.Match[str]], labels: str) -> list[re.Match[str]]:
    """Return the last run of marks that are labelled A, B, C, … or 1, 2, 3, …; empty if short."""
    run: list[re.Match[str]] = []
    best: list[re.Match[str]] = []
    for mark in marks:
        label = mark[1].lower()
        place = labels.index(label) if labels else int(label) - 1
        if place == 0:
            run = [mark]
        elif run and place == len(run):
            run.append(mark)
        if _FEWEST_OPTIONS <= len(run) <= len(_LABELS):
            best = run
    return best


def _asks(stem: str) -> bool:
    """Return whether numbered lines after ``stem`` are options: a list of steps follows no "?"."""
    plain = _HEADING.sub("", stem).rstrip()
    return plain.endswith(("?", "__")) or (plain != stem.rstrip())


def _relabelled(sample: str, marks: list[re.Match[str]], before: str) -> str:
    parts, end = [], 0
    for place, mark in enumerate(marks[: len(_LABELS)]):
        text = sample[end : mark.start()]
        parts += [text.rstrip(" ,;\n") if before else text, before, f"{_LABELS[place].upper()}. "]
        end = mark.end()
    return "".join([*parts, sample[end:]])
