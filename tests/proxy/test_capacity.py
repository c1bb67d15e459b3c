"""How much an upstream takes, as the configuration says it."""

from jevons.proxy.capacity import Capacity
from jevons.proxy.config import Config, to_upstreams

CHAT = {"name": "chat", "model": "llama"}


def capacity(**fields):
    """Of the one upstream of a configuration."""
    (upstream,) = to_upstreams(Config.model_validate({"upstreams": [{**CHAT, **fields}]}))
    return upstream.base_url, upstream.capacity


def test_one_server_without_a_limit():
    """That is what is written where nothing is; a list of one is no list."""
    assert capacity(url="http://a/v1") == ("http://a/v1", Capacity())
    assert capacity(urls=["http://a/v1"]) == ("http://a/v1", Capacity())


def test_replicas_limits_and_the_queue():
    """As they were written."""
    assert capacity(urls=["http://a/v1", "http://b/v1/"], max_concurrency=8, queue={"requests": 0, "seconds": 2}) == (
        "http://a/v1",
        Capacity(("http://a/v1", "http://b/v1"), 8, 0, 2.0),
    )
