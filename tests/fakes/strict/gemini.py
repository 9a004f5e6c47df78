"""Gemini's generateContent: the first call of each step must come back with its signature.

https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.strict.author import Answer, Author, Entry, Refused, check_name, only
from tests.fakes.wires import as_asked, gemini_response

_FIELDS = {
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
    "cachedContent", "labels",
}  # fmt: skip
_CONFIG = {
    "temperature", "topP", "topK", "maxOutputTokens", "candidateCount", "stopSequences", "seed",
    "responseMimeType", "responseJsonSchema", "responseSchema", "thinkingConfig",
}  # fmt: skip
_PART = {"text", "inlineData", "functionCall", "functionResponse", "thought", "thoughtSignature"}
_OF_ANOTHER_MODEL = "skip_thought_signature_validator"


class GeminiAuthor(Author):
    """Gemini 3: calls of another model come with Google's word for having no signature."""

    def error(self, message: str) -> dict[str, Any]:
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}

    def read(self, asked: Asked) -> list[Entry]:
        body = asked.body
        only(body, _FIELDS, "request")
        only(body.get("generationConfig") or {}, _CONFIG, "generationConfig")
        for tool in body.get("tools") or ():
            only(tool, {"functionDeclarations"}, "tools")
            for function in tool["functionDeclarations"]:
                known = {"name", "description", "parameters", "parametersJsonSchema"}
                only(function, known, "functionDeclarations")
                check_name(function["name"], "[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
        found: list[Entry] = [
            ("system", part["text"])
            for part in (body.get("systemInstruction") or {}).get("parts", ())
        ]
        turns = _merged(body["contents"])
        self._check_calls(turns)
        for role, parts in turns:
            found += [entry for part in parts for entry in self._part(role, part)]
        return found

    def _part(self, role: str, part: dict[str, Any]) -> list[Entry]:
        only(part, _PART, "parts")
        signature = part.get("thoughtSignature")
        if signature and signature != _OF_ANOTHER_MODEL:
            self.check_signature(signature)
        if part.get("thought"):
            # It may come in the pieces in which it was streamed.
            if not any(part["text"] in text for text in self._signed.values()):
                raise Refused(f"A thought of another model: {part['text']!r}")
            return []
        if "functionCall" in part:
            only(part["functionCall"], {"id", "name", "args"}, "functionCall")
            call = ("call", part["functionCall"]["name"], part["functionCall"].get("args") or {})
            own = signature and signature != _OF_ANOTHER_MODEL
            return [call, ("signature", signature)] if own else [call]
        if "functionResponse" in part:
            only(part["functionResponse"], {"id", "name", "response", "parts"}, "functionResponse")
            response = part["functionResponse"]["response"]
            failed = set(response) == {"error"}
            text = response["error"] if failed else response.get("output", response.get("content"))
            return [("result", text, failed)]
        if "inlineData" in part:
            return [("image",)]
        return [("assistant" if role == "model" else role, part["text"])] if part["text"] else []

    @staticmethod
    def _check_calls(turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
        for index, (role, parts) in enumerate(turns):
            calls = [part for part in parts if "functionCall" in part]
            after = turns[index + 1][1] if index + 1 < len(turns) else []
            results = [part for part in after if "functionResponse" in part]
            if role == "model" and len(calls) != len(results):
                raise Refused(
                    "Please ensure that the number of function response parts is equal to the "
                    "number of function call parts of the function call turn."
                )
            names = [part["functionCall"]["name"] for part in calls]
            if sorted(names) != sorted(part["functionResponse"]["name"] for part in results):
                raise Refused(f"Calls of {names} have other results")
            if calls and not calls[0].get("thoughtSignature"):
                raise Refused(
                    f"Function call `{names[0]}` is missing a `thought_signature`."
                )  # fmt: skip

    def write(self, asked: Asked, answer: Answer) -> Reply:
        parts: list[dict[str, Any]] = []
        thinking = (asked.body.get("generationConfig") or {}).get("thinkingConfig") or {}
        text = f"Gemini thinks of {len(self.history)} things."
        signature = self.sign(text)
        if thinking.get("includeThoughts"):
            parts.append({"text": text, "thought": True})
        if answer.text:
            parts.append({"text": answer.text})
        for number, (name, arguments) in enumerate(answer.calls):
            call: dict[str, Any] = {"functionCall": {"name": name, "args": arguments}}
            if number == 0:
                call["thoughtSignature"] = signature
            parts.append(call)
        self.written = [entry for part in parts for entry in self._part("model", part)]
        model = asked.path.rpartition("/")[2].partition(":")[0]
        content = {"role": "model", "parts": parts}
        candidate = {"content": content, "finishReason": "STOP", "index": 0}
        return as_asked(asked, gemini_response(model, candidates=[candidate]))


def _merged(contents: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The turns: contents of one role that follow each other are one."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for content in contents:
        only(content, {"role", "parts"}, "contents")
        if not content["parts"]:
            raise Refused("contents: parts must not be empty")
        if turns and turns[-1][0] == content["role"]:
            turns[-1][1].extend(content["parts"])
        else:
            turns.append((content["role"], list(content["parts"])))
    return turns
