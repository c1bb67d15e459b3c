"""LangChain: the usage of a message carries the energy as it came."""

import os

from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="auto",
    base_url=os.environ.get("JEVONS_URL", "http://127.0.0.1:8800/v1"),
    api_key=os.environ.get("JEVONS_KEY", "none"),
    max_tokens=60,
)
message = model.invoke("What is the capital of Peru?")
print(message.response_metadata["token_usage"]["energy"])
