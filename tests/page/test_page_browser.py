from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from house_rig import House, arrive, photograph, until
from page_rig import page
from playwright.sync_api import expect, sync_playwright

from agent.demo.shots import shots, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page as Tab

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextmanager
def browser() -> Iterator[Tab]:
    """Open a tab in a fresh, headless Chromium."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=QUIET, viewport={"width": 1280, "height": 900}
        )
        try:
            yield context.pages[0]
        finally:
            context.close()


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """It shows a delivery as it happens and boxes on its picture, a retry works, and nothing leaves this machine."""
    with House(tmp_path) as house, page(house) as running, browser() as tab:
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(running.url)
        expect(tab.locator("#verdict")).to_contain_text("no agent runs")

        house.run()
        for name, content in shots(1)[0].files():
            write(house.watched, name, content)
        expect(tab.locator("#deliveries tbody tr")).to_have_count(1, timeout=15_000)
        expect(tab.locator("#sources article .picture svg rect").first).to_be_attached(timeout=15_000)
        assert tab.locator("#sources .picture img").evaluate("image => image.naturalWidth") == 640
        expect(tab.locator("#live")).to_have_text("live")

        house.fault(status=422, message="no such class")
        arrive(house.watched / "bad.jpg", photograph(7))
        expect(tab.locator("#quarantine tbody tr")).to_have_count(1, timeout=15_000)
        expect(tab.locator("#errors")).to_contain_text("no such class")
        house.fault()
        tab.get_by_role("button", name="Retry captures").press("Enter")  # by keyboard, as by mouse
        expect(tab.locator("#quarantine")).to_contain_text("Nothing was set aside", timeout=15_000)
        until(lambda: house.sandbox.count() == 2)
        expect(tab.locator("#chart .uplot canvas")).to_be_visible(timeout=15_000)

        for scheme, width in (("dark", 1280), ("light", 390)):
            tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            tab.set_viewport_size({"width": width, "height": 844})
            # The chart is drawn anew behind the resize, a moment later on a busy machine.
            until(
                lambda: tab.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                10,
                lambda: "it scrolls aside",
            )
        assert said == []
        assert asked
        assert {url for url in asked if not url.startswith((running.url, "data:"))} == set()
