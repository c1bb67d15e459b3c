"""litellm's exceptions in this proxy's words; which it raises when is for the tests with a real litellm."""

import pytest

from jevons.proxy.errors import BadRequest, UpstreamError, UpstreamTimedOut, UpstreamUnavailable
from jevons.proxy.exchange import Upstream
from jevons.proxy.upstreams.litellm_errors import ProviderRefused, translate

CLOUD = Upstream("cloud", "https://provider.example/v1", "openai/m", api_key="the-key")


class ConnectError(Exception):
    """As httpx calls it."""


class Timeout(Exception):
    """As litellm calls it."""


class ContextWindowExceededError(Exception):
    """As litellm calls it."""

    status_code = 400
    message = "too long for the-key at https://provider.example/v1"


class Failed(Exception):
    """Any other with a status."""

    def __init__(self, status):
        super().__init__("no")
        self.status_code = status


def test_a_connection_that_never_was_is_found_behind_other_errors():
    """Also where two errors name each other as their cause."""
    outer, inner = Failed(500), ConnectError()
    outer.__cause__, inner.__cause__ = inner, outer
    assert type(translate(outer, CLOUD)) is UpstreamUnavailable


def test_silence_is_a_timeout():
    """504, as of every upstream."""
    assert type(translate(Timeout(), CLOUD)) is UpstreamTimedOut


def test_a_refusal_keeps_its_status_and_loses_the_secrets():
    """The client is told what was wrong, with OpenAI's code, and neither the key nor the address."""
    told = translate(ContextWindowExceededError(), CLOUD)
    assert isinstance(told, ProviderRefused)
    assert (told.status, told.code, told.type) == (400, "context_length_exceeded", "invalid_request_error")
    assert told.message == "too long for … at …"


@pytest.mark.parametrize("status", [401, 403, 500, 503, None])
def test_the_rest_is_the_upstreams_failure(status):
    """502 that says no more than the status, or the kind."""
    told = translate(Failed(status), CLOUD)
    assert type(told) is UpstreamError
    assert told.status == 502
    assert "no" not in told.message.split()


def test_our_own_errors_pass():
    """What was refused before litellm saw it stays as it is."""
    error = BadRequest("bad")
    assert translate(error, CLOUD) is error
