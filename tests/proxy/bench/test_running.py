"""jevons alone in front of a model server: it serves, with its meter on."""

import json
import sys

import pytest
from bench_world import Client, two_cores

from jevons.proxy.bench.running import running
from jevons.proxy.errors import JevonsError

pytest_plugins = ["bench_fixture"]


def test_it_serves_and_meters(programs):
    """In front of the mock; it is gone when nobody needs it any more."""
    with running(programs, two_cores()) as proxy:
        client = Client(proxy.place.port)
        status, body = client.post(model=proxy.subject.model, messages=[{"role": "user", "content": "Hello"}])
        client.close()
        assert status == 200
        assert json.loads(body)["usage"]["energy"]["method"] in {"simulated", None}
        assert not proxy.program.has_ended
    assert proxy.program.has_ended


def test_a_model_server_that_does_not_start_is_an_error(programs):
    """With its own words."""
    with (
        pytest.raises(JevonsError, match="does not start: no port"),
        running(programs, two_cores(), [sys.executable, "-c", "print('no port')"]),
    ):
        pass
