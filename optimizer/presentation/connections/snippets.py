"""First requests to copy and run, for each common client, and the settings of coding agents."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.presentation.connections.agents import connection

_AGENTS = ("claude-code", "codex", "gemini-cli", "opencode")


@dataclass(frozen=True, slots=True)
class Snippet:
    """An example request; ``install`` is the command that installs its client, if any."""

    name: str
    code: str
    install: str = ""


def snippets(base: str, key: str) -> list[Snippet]:
    """Return a first request for each common client, ready to copy and run."""
    question = "What is the capital of France?"
    header = "" if key == "any" else f"  -H 'authorization: Bearer {key}' \\\n"
    return [
        Snippet(
            "curl",
            f"curl -s {base}/complete \\\n{header}"
            "  -H 'content-type: application/json' \\\n"
            f'  -d \'{{"prompt": "{question}", "auto_route": true}}\'',
        ),
        Snippet(
            "OpenAI",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{base}/v1", api_key="{key}")\n'
            "answer = client.chat.completions.create(\n"
            '    model="auto",\n'
            f'    messages=[{{"role": "user", "content": "{question}"}}],\n'
            ")\nprint(answer.choices[0].message.content)",
            "pip install openai",
        ),
        Snippet(
            "Anthropic",
            "from anthropic import Anthropic\n\n"
            f'client = Anthropic(base_url="{base}", api_key="{key}")\n'
            "answer = client.messages.create(\n"
            '    model="auto",\n    max_tokens=500,\n'
            f'    messages=[{{"role": "user", "content": "{question}"}}],\n'
            ")\nprint(answer.content[0].text)",
            "pip install anthropic",
        ),
        Snippet(
            "Gemini",
            "from google import genai\n\n"
            f'client = genai.Client(api_key="{key}", http_options={{"base_url": "{base}"}})\n'
            f'answer = client.models.generate_content(model="auto", contents="{question}")\n'
            "print(answer.text)",
            "pip install google-genai",
        ),
        Snippet(
            "LangChain",
            "from langchain_openai import ChatOpenAI\n\n"
            f'model = ChatOpenAI(model="auto", base_url="{base}/v1", api_key="{key}")\n'
            f'print(model.invoke("{question}").content)',
            "pip install langchain-openai",
        ),
    ]


def ways_to_use(base: str, key: str) -> list[Snippet]:
    """Return what to copy with a new ``key``: a first request of each client, and agents' settings.

    ``base`` is the service's address without a path.
    """
    agents = [connection(name, base, key) for name in _AGENTS]
    return [*snippets(base, key), *(Snippet(agent.title, agent.lines()) for agent in agents)]
