"""Where the verbs find the ledger and the price."""

from __future__ import annotations

import pytest
from ledger_content import day, fill

from jevons.proxy.errors import JevonsError
from jevons.proxy.reporting.places import Place, find_place, opened
from jevons.proxy.reporting.sums import Tariff

pytest_plugins = ["ledger_fixture"]
CONFIG = """
upstreams: [{name: chat, url: "http://127.0.0.1:8000/v1", model: m}]
ledger: {path: jevons.db}
energy: {price_per_kwh: 0.25, pue: 1.4}
"""


@pytest.fixture
def config(tmp_path):
    """A configuration with a ledger, a price and a PUE."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_the_configuration_names_everything(config, tmp_path):
    """The file beside it, its price and its PUE."""
    assert find_place(config, None, None) == Place(tmp_path / "jevons.db", Tariff(0.25, 1.4))


def test_options_go_first(config):
    """What was typed counts more; without a configuration nothing is known of a building."""
    assert find_place(config, "other.db", 0.5) == Place("other.db", Tariff(0.5, 1.4))
    assert find_place(None, "other.db", None) == Place("other.db", Tariff(None, 1.0))


def test_a_ledger_must_be_named(tmp_path):
    """Without any the error says how to name one."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("ledger: {path: jevons.db}\n", ""))
    for given in (None, path):
        with pytest.raises(JevonsError, match="--ledger FILE"):
            find_place(given, None, None)


def test_it_is_opened_and_closed(database):
    """A store that reads, of either kind; one that is not there is an error."""
    fill(database, day())
    with opened(Place(str(database.place), Tariff())) as store:
        assert len(list(store.read("SELECT * FROM requests"))) == 6
    with pytest.raises(JevonsError), opened(Place("nowhere.db", Tariff())):
        pass
