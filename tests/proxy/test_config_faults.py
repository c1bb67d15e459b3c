"""The sections for failing and busy servers: what they say by default, and what they refuse."""

import pytest

from jevons.proxy.config_faults import FaultsSection, QueueSection
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError

BASE = "upstreams: [{name: a, model: m, %s}]\n"
URL = BASE % "url: 'http://127.0.0.1:1/v1'"


def test_the_defaults():
    """Five failures in a row, five seconds, doubled up to a minute; one retry for ten requests; 15 s of silence."""
    config = parse_config(URL)
    assert config.faults == FaultsSection(failures=5, eject_seconds=5.0, most_eject_seconds=60.0, retry_share=0.1)
    assert config.upstreams[0].queue == QueueSection(requests=128, seconds=30.0)
    assert config.keep_alive_seconds == 15.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (URL + "faults: {failures: 0}", "2:20: faults.failures: must be greater than 0"),
        (URL + "faults: {retry_share: 2}", "faults.retry_share: must be at most 1.0"),
        (URL + "faults: {retries: 2}", "faults.retries: unknown key"),
        (URL + "keep_alive_seconds: -1", "keep_alive_seconds: must be at least 0.0"),
        (BASE % "url: 'http://h/v1', max_concurrency: 0", "upstreams.0.max_concurrency: must be greater than 0"),
        (BASE % "url: 'http://h/v1', queue: {requests: -1}", "upstreams.0.queue.requests"),
        (BASE % "url: 'http://h/v1', queue: {seconds: 0}", "upstreams.0.queue.seconds"),
        (BASE % "context_tokens: 5", "upstreams.0: give url, or urls for several servers of one model"),
        (BASE % "url: 'http://h/v1', urls: ['http://i/v1']", "upstreams.0: give url, or urls for several servers of one model"),
        (BASE % "urls: ['http://h/v1', 'http://h/v1/']", "upstreams.0: urls has an address twice"),
        (BASE % "urls: []", "upstreams.0.urls"),
        (BASE % "urls: ['http://h/v1', 'ftp://h']", "upstreams.0.urls.1: must be a URL"),
    ],
)
def test_what_is_wrong_is_named(text, complaint):
    """With its place."""
    with pytest.raises(ConfigError) as failure:
        parse_config(text + "\n")
    assert complaint in str(failure.value)
