"""The configuration for servers that were found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.config import Config
from jevons.proxy.config_detected import MAX_MODELS, config_from_detection
from jevons.proxy.exchange import Dialect, Reasoning
from jevons.proxy.upstreams.detection import Found, FoundModel


def found(*models, port=8000, dialect=Dialect.VLLM):
    return Found(f"http://127.0.0.1:{port}/v1", dialect, tuple(FoundModel(model) for model in models))


def test_two_servers():
    """Each model becomes an upstream with a short name, the server's dialect and a guess at its reasoning."""
    llama = Found("http://127.0.0.1:8000/v1", Dialect.VLLM, (FoundModel("meta-llama/Llama-3.1-8B-Instruct", 131072),))
    config = config_from_detection([llama, found("Qwen/QwQ-32B", port=30000, dialect=Dialect.SGLANG)])
    chat, thinker = config.upstreams
    assert (chat.name, chat.model, chat.reasoning) == (
        "llama-3.1-8b-instruct",
        "meta-llama/Llama-3.1-8B-Instruct",
        Reasoning.NEVER,
    )
    assert (chat.dialect, chat.context_tokens) == (Dialect.VLLM, 131072)
    assert (thinker.name, thinker.url, thinker.reasoning) == ("qwq-32b", "http://127.0.0.1:30000/v1", Reasoning.ALWAYS)
    assert config.default == "direct"


def test_a_lone_reasoning_model_is_the_default():
    """Where nobody answers directly, `auto` means reasoning."""
    assert config_from_detection([found("deepseek-r1:7b")]).default == "reasoning"


def test_models_that_do_not_chat_come_last():
    """No tier means an embedding model while another can chat."""
    config = config_from_detection([found("nomic-embed-text", "llama3.1:8b")])
    assert [upstream.name for upstream in config.upstreams] == ["llama3.1:8b", "nomic-embed-text"]
    assert config_from_detection([found("bge-m3", "qwq")]).default == "reasoning"
    assert config_from_detection([found("bge-m3")]).default == "direct"


def test_names_are_never_ambiguous():
    """Two servers of one model get two names, and none takes the name of another's model or a reserved one."""
    config = config_from_detection([found("org/small", "auto"), found("small", "other/small", port=8001)])
    assert [upstream.name for upstream in config.upstreams] == ["small-2", "auto-2", "small", "small-3"]


def test_nothing_found():
    """Without servers there is nothing to configure."""
    with pytest.raises(ValueError, match="no model servers"):
        config_from_detection([])


@given(st.lists(st.lists(st.text() | st.sampled_from(["a", "A", "x/a", "a-2", "direct"]), max_size=4), min_size=1, max_size=3))
def test_any_names_give_a_sound_configuration(servers):
    """Whatever servers call their models, the configuration holds, as long as there is a model with a name."""
    servers = [found(*(model for model in models if model.strip()), port=port) for port, models in enumerate(servers, 1)]
    if not any(server.models for server in servers):
        return
    config = config_from_detection(servers)
    assert isinstance(config, Config)
    assert len(config.upstreams) == min(MAX_MODELS, sum(len(server.models) for server in servers))
