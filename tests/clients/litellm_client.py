"""litellm, by both of the wires that it can speak to us."""

import os
import sys

import litellm

# It prints a hint for every model that its price table does not know.
litellm.suppress_debug_info = True
wire = sys.argv[1]
base = os.environ["BASE_URL"] + ("/v1" if wire == "openai" else "")
common = {"model": f"{wire}/auto", "api_base": base, "api_key": "any"}
tools = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def ask(prompt: str, **more):
    return litellm.completion(messages=[{"role": "user", "content": prompt}], **common, **more)


print(ask("The capital of France?").choices[0].message.content)
chunks = ask("And of Spain?", stream=True)
print("|".join(c.choices[0].delta.content for c in chunks if c.choices[0].delta.content))
calls = ask("TOOLS: weather in Paris?", tools=tools).choices[0].message.tool_calls
print([(call.function.name, eval(call.function.arguments)) for call in calls])
