"""Replies without decoding: models, embeddings, rerank and the engine's metrics."""

import base64
import math
import struct

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jevons.proxy.exchange import Endpoint
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.prompt_replies import DIMENSIONS, embeddings_body, metrics_text, models_body, rerank_body
from jevons.proxy.simulation.quirks import Quirks
from jevons.proxy.simulation.replies import Job
from jevons.proxy.simulation.scheduler import Scheduler, Work


def job_of(endpoint, **fields):
    return Job("id", 7, read_asked(endpoint, {"model": "m", **fields}), [], 0, Quirks(), can_think=False)


def test_the_owner_tells_servers_apart():
    """The list of models names its one model, who owns it and how much it reads."""
    [entry] = models_body("m", created=7, owned_by="sglang", context_tokens=99)["data"]
    assert (entry["id"], entry["owned_by"], entry["max_model_len"]) == ("m", "sglang", 99)


def test_embeddings_are_unit_vectors_in_both_encodings():
    """Floats and base64 hold the same vector of length 1, another one for another text."""
    job = job_of(Endpoint.EMBEDDINGS, input=["one text", "another"])
    plain = embeddings_body(job, None)
    packed = embeddings_body(job, "base64")
    for first, second in zip(plain["data"], packed["data"], strict=True):
        assert math.hypot(*first["embedding"]) == pytest.approx(1.0, abs=1e-5)
        unpacked = struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(second["embedding"]))
        assert list(unpacked) == pytest.approx(first["embedding"], abs=1e-6)
    assert plain["data"][0]["embedding"] != plain["data"][1]["embedding"]
    assert plain["usage"] == {"prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0}


def test_rerank_puts_the_closest_document_first():
    """Documents are ordered by the query's words they hold; `top_n` keeps the best."""
    documents = ["nothing here", {"text": "The red fox jumps"}, "a red car"]
    job = job_of(Endpoint.RERANK, query="red fox", documents=documents)
    results = rerank_body(job, documents, None)["results"]
    assert [result["index"] for result in results] == [1, 2, 0]
    assert [result["relevance_score"] for result in results] == [1.0, 0.5, 0.0]
    assert len(rerank_body(job, documents, 1)["results"]) == 1


def test_the_metrics_parse_and_count():
    """Prometheus reads them, and they are the scheduler's own counts."""
    scheduler = Scheduler(LLAMA_3_1_8B, 75.0, 700.0)
    scheduler.submit("a", Work(10, 3))
    scheduler.submit("b", Work(10, 3), is_held=True)
    scheduler.step()
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics_text(scheduler, "m"))
        for sample in family.samples
    }
    assert samples == {
        "vllm:prompt_tokens_total": 10.0,
        "vllm:generation_tokens_total": 1.0,
        "vllm:num_requests_running": 1.0,
        "vllm:num_requests_waiting": 1.0,
    }
