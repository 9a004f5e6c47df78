"""LangChain's ChatAnthropic."""

import os

from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool

chat = ChatAnthropic(model="auto", base_url=os.environ["BASE_URL"], api_key="any")


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


print(chat.invoke("The capital of France?").content)
print("|".join(chunk.text for chunk in chat.stream("And of Spain?") if chunk.text))
calls = chat.bind_tools([weather]).invoke("TOOLS: weather in Paris?").tool_calls
print([(call["name"], call["args"]) for call in calls])
