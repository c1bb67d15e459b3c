"""The real process with a grid: a file that somebody writes, and what becomes of it in replies, health and metrics."""

from __future__ import annotations

import json

import openai
import pytest
from jevons_process import final_record, get, until


def test_a_file_of_the_operators(models, serve, tmp_path):
    """Emissions follow the file; what is no figure leaves the last one, and health says why it was not taken."""
    carbon = tmp_path / "carbon.json"
    carbon.write_text("360")
    process = serve(models.config() + f"energy: {{pue: 1.5, carbon: {{file: {carbon}}}}}\n")
    until(lambda: get(f"{process.admin}/healthz")[1]["carbon"]["gco2e_per_kwh"])
    health = get(f"{process.admin}/healthz")[1]["carbon"]
    assert (health["source"], health["gco2e_per_kwh"], health["reason"]) == ("file", 360.0, None)
    assert health["at"] == pytest.approx(carbon.stat().st_mtime)
    with openai.OpenAI(base_url=f"{process.main}/v1", api_key="none", max_retries=0) as client:
        messages = [{"role": "user", "content": "What is the capital of Peru?"}]
        reply = client.chat.completions.with_raw_response.create(model="chat", messages=messages, max_tokens=20)
    energy = json.loads(reply.content)["usage"]["energy"]
    assert "gco2e" in energy or energy["joules"] is None
    record = final_record(process.main, reply.headers["x-request-id"])
    assert record["energy"]["gco2e"] == pytest.approx(record["energy"]["joules"] * 1.5e-4)
    metrics = get(f"{process.admin}/metrics")[1]
    assert 'jevons_carbon_intensity_grams_per_joule{source="file"} 0.0001' in metrics
    assert process.stop() == 0
