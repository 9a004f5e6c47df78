"""The text that stands for generated images and speech at clients of another API.

Images: https://openrouter.ai/docs/guides/overview/multimodal/image-generation. Speech:
https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_for_media(fields: Mapping[str, Any]) -> str:
    """Return the images in Markdown and the transcript of the speech; empty without any."""
    images, audio = fields.get("images"), fields.get("audio")
    texts = [
        f"![image]({url})"
        for image in (images if isinstance(images, list) else ())
        if isinstance(image, Mapping) and (url := _address(image.get("image_url")))
    ]
    transcript = audio.get("transcript") if isinstance(audio, Mapping) else None
    if isinstance(transcript, str):
        texts.append(transcript)
    return "".join(texts)


def _address(image_url: Any) -> str:
    url = image_url.get("url") if isinstance(image_url, Mapping) else image_url
    return url if isinstance(url, str) else ""
