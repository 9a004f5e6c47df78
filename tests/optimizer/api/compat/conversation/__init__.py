"""Conversations of ten turns: every client API, every provider's wire, whole and streamed."""

import pytest

# Failed assertions in these modules are explained as those in tests are.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in ("conversation", "chat_client", "responses_client", "messages_client",
                       "gemini_client", "loops")
    )
)  # fmt: skip
