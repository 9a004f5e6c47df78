"""Write answers in the format of the older API of completions, whole and streamed.

Format: https://platform.openai.com/docs/api-reference/completions/object
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.failure import Failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.chat_answer import FINISH
from optimizer.api.openai.chat_stream import DONE
from optimizer.api.openai.errors import error_body
from optimizer.domain.result import CompletionResult
from providers.events import AnswerEvent, Finished, TextDelta


def text_completion(results: Iterable[CompletionResult]) -> dict[str, Any]:
    """Return a ``text_completion`` object with the choices of all ``results``, in order."""
    given = list(results)
    choices = [choice for result in given for choice in result.completion.choices]
    return {
        **_head(given[0].request_id, given[0].completion.model),
        "choices": [
            _choice(index, choice.text, FINISH[choice.finish_reason])
            for index, choice in enumerate(choices)
        ],
        "usage": _usage(given),
    }


def _head(request_id: object, model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{request_id}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _usage(results: Iterable[CompletionResult]) -> dict[str, int]:
    usages = [result.completion.usage for result in results]
    tokens_in = sum(usage.input_tokens for usage in usages)
    tokens_out = sum(usage.output_tokens for usage in usages)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


class TextStreamEncoder:
    """Encodes the text of a stream; what is not text has no place in this API."""

    def __init__(self, request_id: object, model: str, *, with_usage: bool) -> None:
        self._head = _head(request_id, model)
        self._with_usage = with_usage
        self._last: dict[str, Any] | None = None

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if isinstance(event, TextDelta):
            if event.text:
                yield self._event(choices=[_choice(event.choice, event.text, None)])
        elif isinstance(event, Finished):
            # The last chunk is held back, so that the summary can be sent with it.
            if self._last is not None:
                yield self._event(**self._last)
            self._last = {"choices": [_choice(event.choice, "", FINISH[event.reason])]}

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the chunks that end the stream, with cost and, if asked for, usage."""
        summary = {"optimizer": stream_summary(result)}
        last = self._last or {"choices": []}
        if self._with_usage:
            yield self._event(**last)
            yield self._event(choices=[], usage=_usage([result]), **summary)
        else:
            yield self._event(**last, **summary)
        yield DONE

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``."""
        yield sse(error_body(failure))

    def _event(self, **fields: Any) -> bytes:
        return sse({**self._head, **fields})


def whole_as_stream(body: Mapping[str, Any], *, with_usage: bool) -> Iterator[bytes]:
    """Yield the events of a stream that gives the whole answer ``body``."""
    head = {name: body[name] for name in ("id", "object", "created", "model")}
    for choice in body["choices"]:
        yield sse({**head, "choices": [choice]})
    if with_usage:
        yield sse({**head, "choices": [], "usage": body["usage"]})
    yield DONE
