"""LlamaIndex: the raw reply of the OpenAI client is kept with the answer, and with it the energy."""

import os

from llama_index.llms.openai_like import OpenAILike

from jevons.proxy.client import energy_of

model = OpenAILike(
    model="auto",
    api_base=os.environ.get("JEVONS_URL", "http://127.0.0.1:8800/v1"),
    api_key=os.environ.get("JEVONS_KEY", "none"),
    is_chat_model=True,
    max_tokens=60,
)
answer = model.complete("What is the capital of Peru?")
print(energy_of(answer.raw))
