"""The live page in a real browser: figures arrive, nothing is fetched from elsewhere, and axe-core finds nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe
from jevons_process import post, until
from playwright.sync_api import expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def ask(main, text):
    """One whole reply through the proxy."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 30}
    status, _ = post(f"{main}/v1/chat/completions", body)
    assert status == 200


def open_page(browser, admin, *, viewport=DESKTOP, scheme="light"):
    """The page, and every address that it asked for."""
    page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(admin)
    expect(page.locator("#connection")).to_have_text("live")
    return page, asked, faults


def test_it_shows_requests_as_they_end(browser, proxy):
    """With route, tokens, joules and bounds; and it is said that they are simulated."""
    page, asked, faults = open_page(browser, proxy.admin)
    ask(proxy.main, "Prove that there are infinitely many primes.")
    first = page.locator("#rows tbody tr").first
    expect(first).to_contain_text("rules:proofs", timeout=15_000)
    expect(first).to_contain_text("simulated")
    expect(first).to_contain_text("…")
    expect(page.locator("#simulated")).to_be_visible()
    expect(page.locator("#power")).to_contain_text("W")
    expect(page.locator("#accounts tbody tr")).to_have_count(4)
    expect(page.locator("#chart canvas")).to_be_visible()
    assert "primes" not in page.content()
    assert {url for url in asked if not url.startswith(proxy.admin)} == set()
    assert faults == []


def test_it_says_why_a_request_went_where_it_went(browser, proxy):
    """Every policy's word, by the keyboard too; what was opened stays open when the next request ends."""
    page, _, faults = open_page(browser, proxy.admin)
    ask(proxy.main, "Prove that there is no largest prime.")
    first = page.locator("#rows tbody tr").filter(has_text="rules:proofs").first
    expect(first).to_be_visible(timeout=15_000)
    row = first.element_handle()
    assert not row.query_selector("details li").is_visible()
    row.query_selector("summary").focus()
    page.keyboard.press("Enter")
    words = [item.inner_text() for item in row.query_selector_all("details li")]
    assert words[-2:] == ["rules:proofs;to=reasoning", "limits:fits"]
    assert row.query_selector("details li").is_visible()
    ask(proxy.main, "Name a river in Peru.")
    expect(page.locator("#rows tbody tr").first).not_to_contain_text("rules:proofs", timeout=15_000)
    assert row.query_selector("details li").is_visible()
    assert faults == []


def test_the_holdouts_own_requests_are_in_no_mean(browser, models, serve):
    """They are listed, quietly; the joules per request are those of what clients asked."""
    config = yaml.safe_load(models.config()) | {"holdout": {"share": 0.5, "at_once": 4}}
    proxy = serve(yaml.safe_dump(config))
    page, _, _ = open_page(browser, proxy.admin)
    arms = page.locator("#rows tr.holdout")
    until(lambda: ask(proxy.main, "Name a river in Peru.") or arms.count())
    expect(arms.first).to_contain_text("jevons:holdout")
    told = page.evaluate("""() => {
        const spent = shown.requests.filter((each) => !each.is_holdout).map((each) => each.energy.joules);
        return [document.getElementById("per-request").textContent, joules(spent.reduce((a, b) => a + b) / spent.length) + " J"];
    }""")
    assert told[0] == told[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_is_accessible(browser, proxy, viewport, scheme, tmp_path):
    """No violation by axe-core, and nothing wider than the screen."""
    ask(proxy.main, "Name a river in Peru.")
    page, _, _ = open_page(browser, proxy.admin, viewport=viewport, scheme=scheme)
    expect(page.locator("#rows tbody tr").first).to_be_visible(timeout=15_000)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=Path(tmp_path) / f"{scheme}.png", full_page=True)


def test_the_keyboard_reaches_everything(browser, proxy):
    """The first tab stop skips to the requests; the tables that scroll can be scrolled by keys."""
    page, _, _ = open_page(browser, proxy.admin)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the latest requests"
    reached = set()
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert {"Table of the accounts", "Table of the latest requests"} <= reached


def test_with_a_token_it_asks_for_it(browser, models, serve):
    """A wrong one is said to be wrong; the right one is kept for the tab and sent as a header, never in an address."""
    proxy = serve(models.config().replace("admin:", "admin_token: open-sesame\nadmin:", 1))
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(proxy.admin)
    page.get_by_label("Admin token").fill("wrong")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_have_text("That token is not right.")
    page.get_by_label("Admin token").fill("open-sesame")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#connection")).to_have_text("live")
    assert not any("sesame" in url for url in asked)


def test_it_comes_back_when_the_proxy_does_not_answer(browser, models, serve):
    """It says so, and goes on showing what it had."""
    proxy = serve(models.config())
    page, _, _ = open_page(browser, proxy.admin)
    proxy.stop()
    expect(page.locator("#connection")).to_contain_text("not connected", timeout=15_000)
    expect(page.locator("#accounts-caption")).to_be_visible()
