"""The model and the method are read from the path, however a client writes it."""

from __future__ import annotations

import pytest

from optimizer.api.gemini.paths import is_gemini, method_of, model_of


@pytest.mark.parametrize(
    ("path", "model", "method"),
    [
        ("/v1beta/models/gemini-3.8-flash:generateContent", "gemini-3.8-flash", ":generateContent"),
        ("/v1/models/auto:countTokens", "auto", ":countTokens"),
        ("/v1beta/models/z-ai/glm:free:generateContent", "z-ai/glm:free", ":generateContent"),
        # The AI SDK leaves "models" out if the name has a slash.
        ("/v1beta/z-ai/glm-5.3:generateContent", "z-ai/glm-5.3", ":generateContent"),
        ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine", ":generateContent"),
        ("/v1/chat/completions", "", ""),
        ("/v1/z-ai/glm-5.3:generateContent", "", ""),
    ],
)
def test_model_and_method(path: str, model: str, method: str) -> None:
    assert (model_of(path), method_of(path)) == (model, method)


def test_what_belongs_to_the_api() -> None:
    assert is_gemini("/v1beta/models/x:generateContent")
    assert is_gemini("/v1/models/x:generateContent")
    assert not is_gemini("/v1/models/x:delete")
