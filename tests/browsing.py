"""A page of Chromium that remembers what it said and what it asked for."""

from typing import Any


class Watched:
    """A page.

    Attributes:
        said: errors and warnings on the console, and errors of scripts.
        requests: addresses that were asked for.
    """

    def __init__(self, browser: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self._page = browser.new_page(viewport={"width": 1600, "height": 1000})
        self._page.set_default_timeout(60_000)
        self._page.on(
            "console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None
        )
        self._page.on("pageerror", lambda error: self.said.append(str(error)))
        self._page.on(
            "request", lambda r: None if r.url.startswith(("data:", "blob:")) else self.requests.append(r.url)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)
