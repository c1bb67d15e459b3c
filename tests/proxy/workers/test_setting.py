"""A configuration on its way to a worker."""

import pickle

import pytest

from jevons.proxy.config import Config
from jevons.proxy.keys import parse_keys
from jevons.proxy.workers.messages import Engines, Setting
from jevons.proxy.workers.setting import own_upstreams, pack, unpack

CONFIG = Config.model_validate(
    {
        "upstreams": [{"name": "chat", "url": "http://127.0.0.1:1/v1", "model": "m", "api_key": "secret", "max_concurrency": 5}],
        "policies": [{"type": "rules", "rules": [{"name": "r", "when": {"regex": "a.*"}, "to": "direct"}]}],
    }
)


def test_there_and_back():
    """With its secrets, and with the keys."""
    keys = parse_keys(f'- {{name: a, tenant: b, sha256: "{"0" * 64}"}}')
    config, found = unpack(pack(CONFIG, keys, Engines((), ())))
    assert config == CONFIG
    assert config.upstreams[0].api_key.get_secret_value() == "secret"
    assert found == keys


def test_what_is_no_configuration():
    """It is refused."""
    with pytest.raises(TypeError, match="not a configuration"):
        unpack(Setting(pickle.dumps(1), pickle.dumps(None), Engines((), ())))


@pytest.mark.parametrize(("workers", "parts"), [(1, [5]), (2, [3, 2]), (5, [1] * 5), (8, [1] * 8)])
def test_requests_at_once_are_divided(workers, parts):
    """The parts sum to the whole, as long as everyone can have one."""
    found = [own_upstreams(CONFIG, number, workers)[0].capacity.at_once for number in range(workers)]
    assert found == parts
