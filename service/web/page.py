"""The page for people: `GET /` and its files, from `service/page`; a browser asks no other host.

What it shows comes from the routes under `/v1`, with the key that its user types where one is
needed; the files themselves, and what they must know of the server, are open to everybody.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel

from service import __version__
from service.errors import NotFoundError
from service.web.state import Loaded

_INDEX = "index.html"
_FOLDER = "/page"
_FACTS = f"{_FOLDER}/facts.json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Form:
    """Bytes of a file in one coding, and the tag by which a browser knows them again."""

    content: bytes
    tag: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Tag bytes by their digest."""
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page.

    Attributes:
      media_type: of its bytes.
      plain: as it is.
      packed: by gzip, the same bytes on every machine of one zlib.
    """

    media_type: str
    plain: Form
    packed: Form


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by name; those of other types have no business there."""
    found = {}
    for entry in files("service").joinpath("page").iterdir():
        kind = _TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if kind is not None:
            content = entry.read_bytes()
            packed = gzip.compress(content, mtime=0)
            found[entry.name] = PageFile(kind, Form.of(content), Form.of(packed))
    return found


def open_paths() -> frozenset[str]:
    """Return the paths that need no API key: one cannot be typed before there is a page."""
    return frozenset({"/", _FACTS, *(f"{_FOLDER}/{name}" for name in page_files())})


class PageFacts(BaseModel):
    """What the page must know before it asks anything.

    Attributes:
      version: of varsigma.
      needs_key: the routes under `/v1` need an API key.
      takes_jobs: whole files are taken.
      reference: file name of the reference, None where there is none.
      assembly: of the reference, None where that is not stated.
      error_rate: of a triage, unless a request says otherwise.
      threshold: smallest effect that matters, log2 units, likewise.
      coverage: probability inside the intervals, likewise.
      max_region: positions of a saturation map.
      max_upload_bytes: of a file.
    """

    version: str = __version__
    needs_key: bool
    takes_jobs: bool
    reference: str | None
    assembly: str | None
    error_rate: float
    threshold: float
    coverage: float
    max_region: int
    max_upload_bytes: int


async def _given(
    if_none_match: Annotated[str, Header()] = "", accept_encoding: Annotated[str, Header()] = ""
) -> tuple[str, bool]:
    codings = (part.partition(";") for part in accept_encoding.lower().split(","))
    accepts = any(
        name.strip() == "gzip" and weight.replace(" ", "") not in {"q=0", "q=0.0"}
        for name, _, weight in codings
    )
    return if_none_match, accepts


Given = Annotated[tuple[str, bool], Depends(_given)]


@router.get("/")
async def index(given: Given) -> Response:
    """Send the page."""
    return _answer(page_files()[_INDEX], *given)


@router.get(_FACTS)
async def facts(engine: Loaded) -> PageFacts:
    """Say what the page must know of the server."""
    settings, reference = engine.settings, engine.reference
    return PageFacts(
        needs_key=settings.keys is not None,
        takes_jobs=settings.jobs is not None and reference is not None,
        reference=reference.name if reference else None,
        assembly=reference.assembly if reference else None,
        error_rate=settings.error_rate,
        threshold=settings.threshold,
        coverage=settings.coverage,
        max_region=settings.max_region,
        max_upload_bytes=settings.max_upload_bytes,
    )


@router.get(f"{_FOLDER}/{{name}}")
async def file(name: str, given: Given) -> Response:
    """Send a file of the page.

    Raises:
      NotFoundError: there is none of that name.
    """
    found = page_files().get(name)
    if found is None:
        raise NotFoundError("the page has no such file")
    return _answer(found, *given)


def _answer(found: PageFile, known: str, accepts_gzip: bool) -> Response:
    form = found.packed if accepts_gzip else found.plain
    headers = {
        "ETag": form.tag,
        # Kept, and asked for again: a new version of varsigma is there at once.
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": POLICY,
    }
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    if form.tag in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    if accepts_gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(form.content, headers=headers, media_type=found.media_type)
