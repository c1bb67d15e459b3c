"""Replies that take no decoding: the list of models, embeddings, rerank and the engine's own metrics; pure."""

from __future__ import annotations

import base64
import math
import struct
from typing import Final

from .asked import Asked, Json
from .replies import Job
from .scheduler import Scheduler
from .words import digest

DIMENSIONS: Final = 64


def models_body(model: str, *, created: int, owned_by: str, context_tokens: int) -> Json:
    """`GET /v1/models`; who owns the model tells the servers apart."""
    entry: dict[str, object] = {"id": model, "object": "model", "created": created, "owned_by": owned_by, "root": model}
    return {"object": "list", "data": [{**entry, "parent": None, "max_model_len": context_tokens, "permission": []}]}


def embeddings_body(job: Job, encoding: object) -> Json:
    """One vector of length 1 per text; `base64` holds its 32-bit floats, which is what the OpenAI client asks for."""
    vectors = [_vector("".join(prompt)) for prompt in job.asked.prompts]
    data = [
        {"index": index, "object": "embedding", "embedding": _packed(vector) if encoding == "base64" else vector}
        for index, vector in enumerate(vectors)
    ]
    return {
        "id": f"embd-{job.id}",
        "object": "list",
        "created": job.created,
        "model": job.asked.model,
        "data": data,
        "usage": _prompt_usage(job.asked),
    }


def rerank_body(job: Job, documents: object, top_n: object) -> Json:
    """The documents by the share of the query's words they hold, best first."""
    texts = [str(document.get("text")) if isinstance(document, dict) else str(document) for document in _listed(documents)]
    words = set(job.asked.last_text.lower().split())
    results = [
        {"index": index, "document": {"text": text}, "relevance_score": len(words & set(text.lower().split())) / len(words)}
        for index, text in enumerate(texts)
    ]
    results.sort(key=lambda result: -float(str(result["relevance_score"])))
    kept = results[:top_n] if isinstance(top_n, int) and top_n > 0 else results
    return {"id": f"rerank-{job.id}", "model": job.asked.model, "usage": _prompt_usage(job.asked), "results": kept}


def metrics_text(scheduler: Scheduler, model: str) -> str:
    """The few lines of vLLM's `/metrics` from which bypass traffic shows."""
    lines: list[str] = []
    for name, kind, value in (
        ("vllm:prompt_tokens_total", "counter", scheduler.prompt_tokens),
        ("vllm:generation_tokens_total", "counter", scheduler.output_tokens),
        ("vllm:num_requests_running", "gauge", scheduler.running),
        ("vllm:num_requests_waiting", "gauge", scheduler.waiting),
    ):
        lines += [f"# TYPE {name} {kind}", f'{name}{{engine="0",model_name="{model}"}} {float(value)}']
    return "\n".join([*lines, ""])


def _prompt_usage(asked: Asked) -> Json:
    return {"prompt_tokens": asked.prompt_tokens, "total_tokens": asked.prompt_tokens, "completion_tokens": 0}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _vector(text: str) -> list[float]:
    raw = [byte - 127.5 for byte in digest(text)]
    length = math.hypot(*raw)
    return [round(value / length, 7) for value in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
