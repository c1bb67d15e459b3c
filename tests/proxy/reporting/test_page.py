"""The report as one HTML file: whole, harmless, and readable in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from ledger_content import DIRECT, HOUR, NOW, day, energy, fill, holdouts
from ledger_world import record

from jevons.proxy.reporting.page import SIMULATED, render_page
from jevons.proxy.reporting.period import Period
from jevons.proxy.reporting.report import make_report
from jevons.proxy.reporting.sums import Tariff

pytest_plugins = ["ledger_fixture"]
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on this machine (Debian: apt-get install chromium)")


@pytest.fixture
def page(sqlite_database):
    """The page on these records."""

    def make(records, hours=24):
        fill(sqlite_database, records)
        store = sqlite_database.store(is_reader=True)
        store.open()
        report = make_report(store, Period(NOW - hours * HOUR, NOW), ("upstream", "tenant"), Tariff(0.3))
        store.close()
        return render_page(report, version="0.1.0", made_at=NOW)

    return make


class Checker(HTMLParser):
    """Whether every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, _attrs):
        """One opens."""
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """The last one closes."""
        if tag not in {"meta", "rect", "line"}:
            assert self.open.pop() == tag


def test_it_is_one_whole_file(page):
    """Nothing is fetched from anywhere, everything that opens closes, and what is simulated says so."""
    text = page([*day(), *holdouts(24)])
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", text)
    assert SIMULATED in text
    assert text.count("<svg") == 2
    assert "prefers-color-scheme: dark" in text


def test_names_cannot_inject(page):
    """Whatever a tenant, a model server or a client is called, it is text."""
    text = page([record("<script>alert(1)</script>", tenant='"><img src=x>', upstream="<b>", started_at=NOW - 60)])
    assert "<script>" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_an_empty_time_has_a_page_too(page):
    """It says that there was nothing, without plots."""
    text = page([], hours=1)
    assert "<b>0</b>" in text
    assert "<svg" not in text


def test_weeks_are_drawn_by_day(page):
    """Beyond three days a bar is a day."""
    records = [
        record(f"w{place}", started_at=NOW - 6 * HOUR - place * 24 * HOUR, plan=DIRECT, energy=energy(10.0)) for place in range(6)
    ]
    text = page(records, hours=24 * 7)
    assert "Energy of requests per day" in text
    assert ">11-23</text>" in text


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_it(page, tmp_path, theme):
    """Chromium draws it without a word of complaint, in light and in dark, and no wider than the window."""
    path = tmp_path / "report.html"
    colour = "getComputedStyle(document.body).backgroundColor"
    check = f"<script>document.title = document.documentElement.scrollWidth + ' ' + {colour}</script>"
    path.write_text(page([*day(), *holdouts(24)]).replace("</body>", check + "</body>"))
    setting = ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else []
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=800,600", f"--user-data-dir={tmp_path}/profile"]
    command = [CHROMIUM, *options, *setting, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    [title] = re.findall(r"<title>(\d+) (rgb\([\d, ]+\))</title>", done.stdout)
    assert int(title[0]) <= 800
    assert title[1] == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 23, 29)"}[theme]
