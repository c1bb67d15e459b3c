"""openai-python: the energy of a reply, of a stream, and of a piece of code."""

import os

from openai import OpenAI

from jevons.proxy.client import EnergyTracker, energy_of

client = OpenAI(base_url=os.environ.get("JEVONS_URL", "http://127.0.0.1:8800/v1"), api_key=os.environ.get("JEVONS_KEY", "none"))

with EnergyTracker(client) as energy:
    reply = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "What is the capital of Peru?"}], max_tokens=60
    )
    print("one reply:", energy_of(reply))

    stream = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Prove that there are infinitely many primes."}],
        max_tokens=60,
        stream=True,
        stream_options={"include_usage": True},
    )
    *_, last = stream
    print("a stream:", energy_of(last))

print("both, final:", energy.total)
print("by model:", energy.by_model)
