"""LangChain's ChatOpenAI."""

import os

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model="auto", base_url=f"{os.environ['BASE_URL']}/v1", api_key="any")


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


print(chat.invoke("The capital of France?").content)
print("|".join(chunk.text for chunk in chat.stream("And of Spain?") if chunk.text))
calls = chat.bind_tools([weather]).invoke("TOOLS: weather in Paris?").tool_calls
print([(call["name"], call["args"]) for call in calls])
