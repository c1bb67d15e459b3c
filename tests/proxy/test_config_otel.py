"""Tests of the section `otel`."""

import pytest

from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError

BASE = "upstreams: [{name: a, url: 'http://127.0.0.1:1/v1', model: m}]\n"


def test_a_token_comes_from_the_environment_and_is_not_shown():
    """As every secret."""
    text = BASE + "otel: {endpoint: 'http://127.0.0.1:4318', headers: {authorization: 'Bearer ${TOKEN}'}}\n"
    section = parse_config(text, environment={"TOKEN": "abc"}).otel
    assert section.headers["authorization"].get_secret_value() == "Bearer abc"
    assert "abc" not in repr(section)
    assert section.interval_seconds == 10.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("otel: {endpoint: not a url}", "2:18: otel.endpoint"),
        ("otel: {endpoint: 'http://h:1', interval_seconds: 0}", "otel.interval_seconds"),
        ("otel: {endpoint: 'http://h:1', intervall_seconds: 5}", "did you mean interval_seconds?"),
    ],
)
def test_what_is_wrong_is_named(line, complaint):
    """With its place."""
    with pytest.raises(ConfigError) as failure:
        parse_config(BASE + line + "\n")
    assert complaint in str(failure.value)
