"""Text for a person: what came from files made fit to be shown, and how an extra is installed."""

import re

# Control characters, lone surrogates and noncharacters: none may stand in HTML, and a terminal does
# what some of them say. Characters that turn the direction of writing: they would let an ID rewrite
# what stands beside it.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef"
    "\ufffe\uffff" + "".join(chr(plane + end) for plane in range(0x10000, 0x110000, 0x10000)
                             for end in (0xFFFE, 0xFFFF)) + "]"
)  # fmt: skip


def of_extra(name: str) -> str:
    """Return the command that installs an extra of varsigma, which comes as its source.

    >>> of_extra("report")
    'pip install ".[report]" in a checkout of varsigma'
    """
    return f'pip install ".[{name}]" in a checkout of varsigma'


def fit(text: str) -> str:
    r"""Return text that may stand in a page or on a terminal: what is unfit becomes U+FFFD.

    >>> fit("rs1\x00\u202e2"), fit("\x1b[2J")
    ('rs1\ufffd\ufffd2', '\ufffd[2J')
    """
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
