"""The path of Cohere's API that has no like among OpenAI's."""

from __future__ import annotations

from django.urls import path

from optimizer.api.openai.specialised.rerank import CohereRerankViewSet

urlpatterns = [
    path("rerank", CohereRerankViewSet.as_view({"post": "create"}), name="cohere-rerank"),
]
