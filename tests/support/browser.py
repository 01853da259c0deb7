"""A real browser for tests of web pages: Chromium as the system has it, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Watched:
    """What a page did while it was open: errors it reported, and addresses it asked beyond its own folder."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []


@contextmanager
def opened(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[tuple[Page, Watched]]:
    """A page in a browser of its own; the test is skipped where no Chromium is installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra [dev]")
    binary = next((path for name in NAMES if (path := shutil.which(name))), None)
    if binary is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    seen = Watched()
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        scheme = "dark" if dark else "light"
        page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: seen.foreign.append(request.url) if _is_foreign(request.url) else None)
        try:
            yield page, seen
        finally:
            browser.close()


def address(file: Path, after: str = "") -> str:
    """A file as a browser's address, with a query or a fragment after it."""
    return file.resolve().as_uri() + after


def _is_foreign(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))
