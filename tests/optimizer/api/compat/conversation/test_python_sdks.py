"""The official SDKs for Python run their loops of tools over HTTP, unchanged but for the URL."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from tests.fakes.strict.author import DONE, WELCOME, Answer
from tests.optimizer.api.compat.conversation.client import TOOLS
from tests.optimizer.api.compat.conversation.conversation import Partner
from tests.optimizer.api.compat.conversation.loops import MODELS, check_loops

QUESTION, THANKS = "What is the weather in Paris?", "Thank you."
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
EACH_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def weather(city: str) -> str:
    assert city == "Paris"
    return "sunny"


@STREAMED
@EACH_MODEL
async def test_chat_completions_of_openai(
    model: str, streamed: bool, address: str, partners: dict[str, Partner]
) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    function = {"name": "weather", "parameters": TOOLS["weather"], "strict": True}
    asked: dict[str, Any] = {"model": model, "tools": [{"type": "function", "function": function}]}

    async def answer(sdk: openai.AsyncOpenAI) -> Any:
        if not streamed:
            found = await sdk.chat.completions.parse(messages=messages, **asked)
        else:
            async with sdk.chat.completions.stream(messages=messages, **asked) as stream:
                found = await stream.get_final_completion()
        messages.append(found.choices[0].message)
        return found.choices[0].message

    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as sdk:
        said = await answer(sdk)
        while said.tool_calls:
            for call in said.tool_calls:
                result = weather(**call.function.parsed_arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
            said = await answer(sdk)
        assert said.content == DONE
        messages.append({"role": "user", "content": THANKS})
        del asked["tools"]
        assert (await answer(sdk)).content == WELCOME
    await check_loops(partners)


@STREAMED
@EACH_MODEL
async def test_responses_of_openai(
    model: str, streamed: bool, address: str, partners: dict[str, Partner]
) -> None:
    turns: list[Any] = [{"role": "user", "content": QUESTION}]
    tool = {"type": "function", "name": "weather", "parameters": TOOLS["weather"], "strict": True}
    asked: dict[str, Any] = {
        "model": model, "tools": [tool], "store": False,
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip

    async def answer(sdk: openai.AsyncOpenAI) -> Any:
        if not streamed:
            found: Any = await sdk.responses.create(input=turns, **asked)
        else:
            async with sdk.responses.stream(input=turns, **asked) as stream:
                found = await stream.get_final_response()
        turns.extend(found.output)
        return found

    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as sdk:
        said = await answer(sdk)
        while calls := [item for item in said.output if item.type == "function_call"]:
            for call in calls:
                result = weather(**json.loads(call.arguments))
                turns.append(
                    {"type": "function_call_output", "call_id": call.call_id, "output": result}
                )
            said = await answer(sdk)
        assert said.output_text == DONE
        turns.append({"role": "user", "content": THANKS})
        del asked["tools"]
        assert (await answer(sdk)).output_text == WELCOME
    await check_loops(partners)


@STREAMED
@EACH_MODEL
async def test_the_runner_of_tools_of_anthropic(
    model: str, streamed: bool, address: str, partners: dict[str, Partner]
) -> None:
    async def run(city: str) -> str:
        """The weather.

        Args:
            city: The city.
        """
        return weather(city)

    tool = anthropic.beta_async_tool(name="weather")(run)
    texts = []
    async with anthropic.AsyncAnthropic(base_url=address, api_key="x", max_retries=0) as sdk:
        runner: Any = sdk.beta.messages.tool_runner(
            model=model, max_tokens=3000, stream=streamed, tools=[tool],
            messages=[{"role": "user", "content": QUESTION}],
            thinking={"type": "enabled", "budget_tokens": 2000},
        )  # fmt: skip
        async for item in runner:
            message = await item.get_final_message() if streamed else item
            texts.append("".join(block.text for block in message.content if block.type == "text"))
    assert texts == ["I look.", DONE]
    await check_loops(partners)


class Weather(pydantic.BaseModel):
    city: str


@EACH_MODEL
async def test_structured_answers_of_every_sdk(
    model: str, address: str, partners: dict[str, Partner]
) -> None:
    author = partners[model.partition("/")[0]].author
    for _ in range(3):
        author.will(Answer('{"city": "Paris"}'))
    messages: list[Any] = [{"role": "user", "content": "Which city?"}]
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as sdk:
        chat = await sdk.chat.completions.parse(
            model=model, messages=messages, response_format=Weather
        )
        response = await sdk.responses.parse(model=model, input=messages, text_format=Weather)
    async with anthropic.AsyncAnthropic(base_url=address, api_key="x", max_retries=0) as claude:
        message = await claude.messages.parse(
            model=model, max_tokens=500, messages=messages, output_format=Weather
        )
    found = [chat.choices[0].message.parsed, response.output_parsed, message.parsed_output]
    assert found == [Weather(city="Paris")] * 3
    await check_loops(partners)
