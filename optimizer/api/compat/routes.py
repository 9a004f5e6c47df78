"""The paths of other APIs, under /v1 where their clients expect them."""

from __future__ import annotations

from django.urls import path

from optimizer.api.anthropic.messages import CountTokensViewSet, MessagesViewSet
from optimizer.api.gemini.views import SharedModelsViewSet
from optimizer.api.openai.chat import ChatCompletionsViewSet
from optimizer.api.openai.completions.endpoint import CompletionsViewSet
from optimizer.api.openai.embeddings import EmbeddingsViewSet
from optimizer.api.openai.responses.endpoint import ResponsesViewSet

urlpatterns = [
    path("chat/completions", ChatCompletionsViewSet.as_view({"post": "create"}), name="chat"),
    path("completions", CompletionsViewSet.as_view({"post": "create"}), name="completions"),
    path("responses", ResponsesViewSet.as_view({"post": "create"}), name="responses"),
    path("embeddings", EmbeddingsViewSet.as_view({"post": "create"}), name="embeddings"),
    path("models", SharedModelsViewSet.as_view({"get": "retrieve"}), name="models"),
    path("models/<path:name>", SharedModelsViewSet.as_view({"get": "describe"}), name="model"),
    path("messages", MessagesViewSet.as_view({"post": "create"}), name="messages"),
    path(
        "messages/count_tokens",
        CountTokensViewSet.as_view({"post": "create"}),
        name="count-tokens",
    ),
]
