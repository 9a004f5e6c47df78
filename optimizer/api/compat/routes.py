"""The paths of other APIs, under /v1 where their clients expect them."""

from __future__ import annotations

from django.urls import path

from optimizer.api.anthropic.messages import CountTokensViewSet, MessagesViewSet
from optimizer.api.gemini.views import SharedModelsViewSet
from optimizer.api.openai.chat import ChatCompletionsViewSet
from optimizer.api.openai.completions.endpoint import CompletionsViewSet
from optimizer.api.openai.embeddings import EmbeddingsViewSet
from optimizer.api.openai.responses.endpoint import ResponsesViewSet
from optimizer.api.openai.specialised.audio import (
    SpeechViewSet,
    TranscriptionsViewSet,
    TranslationsViewSet,
)
from optimizer.api.openai.specialised.images import ImageEditsViewSet, ImagesViewSet
from optimizer.api.openai.specialised.moderations import ModerationsViewSet
from optimizer.api.openai.specialised.rerank import RerankViewSet

urlpatterns = [
    path("chat/completions", ChatCompletionsViewSet.as_view({"post": "create"}), name="chat"),
    path("completions", CompletionsViewSet.as_view({"post": "create"}), name="completions"),
    path("responses", ResponsesViewSet.as_view({"post": "create"}), name="responses"),
    path("embeddings", EmbeddingsViewSet.as_view({"post": "create"}), name="embeddings"),
    path("images/generations", ImagesViewSet.as_view({"post": "create"}), name="images"),
    path("images/edits", ImageEditsViewSet.as_view({"post": "create"}), name="image-edits"),
    path(
        "audio/transcriptions",
        TranscriptionsViewSet.as_view({"post": "create"}),
        name="transcriptions",
    ),
    path(
        "audio/translations", TranslationsViewSet.as_view({"post": "create"}), name="translations"
    ),
    path("audio/speech", SpeechViewSet.as_view({"post": "create"}), name="speech"),
    path("moderations", ModerationsViewSet.as_view({"post": "create"}), name="moderations"),
    path("rerank", RerankViewSet.as_view({"post": "create"}), name="rerank"),
    path("models", SharedModelsViewSet.as_view({"get": "retrieve"}), name="models"),
    path("models/<path:name>", SharedModelsViewSet.as_view({"get": "describe"}), name="model"),
    path("messages", MessagesViewSet.as_view({"post": "create"}), name="messages"),
    path(
        "messages/count_tokens",
        CountTokensViewSet.as_view({"post": "create"}),
        name="count-tokens",
    ),
]
