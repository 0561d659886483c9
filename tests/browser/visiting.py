"""A browser's tab on the page: every request, message and breach of policy is noted."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

SNV = "chr17:31463:G:T"
"""A change of examples/chr17.hg19.part.fa with a large effect."""

_BREACHES = """
window.addEventListener("securitypolicyviolation",
  (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""
_FAILED = re.compile(r"Failed to load resource: .*status of (\d+)")


@dataclass
class Visit:
    """One tab.

    Attributes:
      page: of Playwright.
      address: of the server's page.
      allowed: codes of answers that this test brings about.
      requests: addresses that were asked for.
      messages: errors and warnings of the console.
    """

    page: Any
    address: str
    allowed: set[int] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(_BREACHES)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.messages.append(message.text)

    def open(self, query: str = "") -> Any:
        """Go to the page."""
        self.page.goto(self.address + query)
        return self.page

    def show(self, variant: str = SNV, **choices: str) -> Any:
        """Ask for a variant by its link and wait for all of the answer."""
        more = "".join(f"&{name}={value}" for name, value in choices.items())
        self.open(f"?variant={variant}{more}")
        self.whole()
        return self.page

    def whole(self) -> None:
        """Wait until the last part of an answer is there: the models compared."""
        self.page.get_by_role("region", name="Models compared").wait_for()

    def table(self, name: str) -> list[list[str]]:
        """Texts of the rows of a table, its head first."""
        rows = self.page.get_by_role("region", name=name, exact=True).locator("tr")
        return rows.evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )

    def api(self, path: str, body: object = None, **headers: str) -> Any:
        """Ask the server itself."""
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data else {}
        request = Request(self.address + path, data, kind | headers)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def assert_clean(self) -> None:
        """No host but the server was asked, no policy was breached, nothing failed."""
        host = urlsplit(self.address).netloc
        elsewhere = [
            url
            for url in self.requests
            if urlsplit(url).scheme not in {"blob", "data"} and urlsplit(url).netloc != host
        ]
        assert not elsewhere
        assert any(url.startswith(self.address) for url in self.requests)
        wrong = []
        for message in self.messages:
            found = _FAILED.match(message)
            if not (found and int(found[1]) in self.allowed):
                wrong.append(message)
        assert not wrong

    def assert_fits(self) -> None:
        """The page does not scroll sideways."""
        root = "document.documentElement"
        wide = self.page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
        assert wide[0] <= wide[1], wide


def signed(value: float, digits: int = 2) -> str:
    """A number as the page spells it."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("\N{MINUS SIGN}" if value < 0 else "+") + text
