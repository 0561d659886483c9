"""The client: `Client` blocks, `AsyncClient` awaits; both say and hear the same.

```
with Client("http://localhost:8000") as client:
    answer = client.score([Variant("chr17", 31150, "G", "A")], model="dh7")
    print(answer.results[0].targets)
```
Needs the extra `client`. Answers are the models of `service.schemas`; whatever goes wrong
is a `CallError`, see `service.remote.problems`. What is busy (429, 503) or not there is asked again
after the time that it says: all that a client asks may be asked twice.
"""

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import anyio
import httpx2 as httpx

from service import __version__
from service.remote import calls, jobs
from service.remote.calls import (
    Items,
    RegionOptions,
    ScoreOptions,
    SequenceOptions,
    TriageOptions,
)
from service.remote.exchange import Ask, Came, Patience, Talk, exchange
from service.remote.jobs import Job, JobOptions
from service.remote.lines import Form
from service.remote.problems import (
    BusyError,
    CallError,
    GivenError,
    RefusedError,
    UnreachableError,
    UnreadableError,
)
from service.remote.streams import AsyncLines, Lines
from service.schemas import (
    ModelList,
    Ready,
    SaturationResponse,
    ScoredItem,
    ScoreResponse,
    SequenceBody,
    SequencePair,
    SequencesResponse,
    VariantBody,
)
from service.triage_schemas import TriageResponse
from service.variant_schemas import VariantNames
from service.variants import Variant

__all__ = [
    "AsyncClient",
    "AsyncLines",
    "BusyError",
    "CallError",
    "Client",
    "GivenError",
    "Job",
    "Lines",
    "RefusedError",
    "SequenceBody",
    "SequencePair",
    "UnreachableError",
    "UnreadableError",
    "Variant",
    "VariantBody",
]

H = TypeVar("H")
T = TypeVar("T")

_TIMEOUT = 300.0
_CONNECT_TIMEOUT = 10.0
_RETRIES = 4
_LONGEST_WAIT = 60.0
# What a service that was given some seconds may take longer, to say that they are over.
_GRACE = 10.0
_POLL = 2.0
_CHUNK = 1 << 18


class _Caller:
    """What both clients are made of: where the service is, who calls, how patiently."""

    def __init__(
        self, url: str, api_key: str | None, timeout: float, retries: int, longest_wait: float
    ) -> None:
        """Keep it."""
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._patience = Patience(retries, longest_wait)
        self._headers = {"User-Agent": f"varsigma/{__version__}"}
        if api_key is not None:
            api_key = api_key.strip()  # of the line that it was read from
            if not (api_key.isascii() and api_key.isprintable() and api_key):
                raise ValueError("api_key must be printable ASCII, as `varsigma key` prints it")
            self._headers["Authorization"] = f"Bearer {api_key}"

    def _arguments(self, ask: Ask[Any], content: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return what httpx builds a request of."""
        headers = self._headers | dict(ask.headers)
        timeout = self._timeout
        if ask.seconds is not None:
            headers["X-Timeout-Seconds"] = f"{ask.seconds:g}"
            timeout = ask.seconds + _GRACE
        if ask.upload is not None:
            headers["Content-Length"] = str(ask.upload.stat().st_size)
        return {
            "method": ask.method,
            "url": self._url + ask.path,
            "params": dict(ask.query) or None,
            "headers": headers,
            "content": content,
            "timeout": httpx.Timeout(timeout, connect=_CONNECT_TIMEOUT),
        }


class Client(_Caller):
    """Asks a service and waits for the answer. Close it, or use it as a context."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = _TIMEOUT,
        retries: int = _RETRIES,
        longest_wait: float = _LONGEST_WAIT,
        http: httpx.Client | None = None,
    ) -> None:
        """Name a service; nothing is sent yet.

        Args:
          url: its address, such as http://localhost:8000.
          api_key: where it asks for one.
          timeout: seconds without a byte after which a call fails.
          retries: further tries where it is busy or not reached.
          longest_wait: seconds; if it asks for a longer wait, the call fails.
          http: what sends, for proxies and certificates of your own; it stays open.
        """
        super().__init__(url, api_key, timeout, retries, longest_wait)
        self._http = http or httpx.Client()
        self._is_own = http is None

    def score(self, items: Items, **options: Unpack[ScoreOptions]) -> ScoreResponse:
        """Score variants, or pairs of sequences.

        Raises:
          CallError: see `service.remote.problems`; so all the others.
          GivenError: one of those, for an item or an option that no service would take.
        """
        return self._call(calls.score(items, options))

    @contextmanager
    def score_lines(
        self, items: Items, **options: Unpack[ScoreOptions]
    ) -> Iterator[Lines[ScoreResponse, ScoredItem]]:
        """Score a long list; its results come one by one."""
        with self._lines(*calls.score_lines(items, options)) as lines:
            yield lines

    def triage(self, items: Items, **options: Unpack[TriageOptions]) -> TriageResponse:
        """Rank variants as one list, and say of each what can be said at an error rate."""
        return self._call(calls.triage(items, options))

    def sequences(
        self, given: Iterable[str | SequenceBody], **options: Unpack[SequenceOptions]
    ) -> SequencesResponse:
        """Predict the activity of plain sequences."""
        return self._call(calls.sequences(given, options))

    def saturation(
        self, contig: str, start: int, end: int, **options: Unpack[RegionOptions]
    ) -> SaturationResponse:
        """Score every single-base change of a region; 1-based, both ends included."""
        return self._call(calls.saturation(contig, start, end, options))

    @contextmanager
    def saturation_lines(
        self, contig: str, start: int, end: int, **options: Unpack[RegionOptions]
    ) -> Iterator[Lines[SaturationResponse, SaturationResponse]]:
        """Do the same, a run of positions after the other."""
        with self._lines(*calls.saturation_lines(contig, start, end, options)) as lines:
            yield lines

    def variants(self, spelling: str) -> VariantNames:
        """Ask what one variant, in any common spelling, is called, and how to score it."""
        return self._call(calls.variants(spelling))

    def models(self) -> ModelList:
        """List the served models and the limits of a request."""
        return self._call(calls.models())

    def card(self, name: str) -> dict[str, Any]:
        """Fetch a model's card."""
        return self._call(calls.card(name))

    def live(self) -> bool:
        """Say whether the process runs."""
        return self._call(calls.live()).status == "live"

    def ready(self) -> Ready:
        """Say whether the service answers, and on which device."""
        return self._call(calls.ready())

    def submit(self, vcf: Path | str, **options: Unpack[JobOptions]) -> Job:
        """Upload a VCF to be scored; the same file with the same options is the same job."""
        return self._call(jobs.submitted(Path(vcf), options))

    def job(self, job: str) -> Job:
        """Say how far a job is."""
        return self._call(jobs.told(job))

    def wait(self, job: str, *, poll: float = _POLL) -> Job:
        """Wait until a job is over, looking every `poll` seconds, and return it.

        One that failed, or was cancelled, is returned too: look at `state`, and at `error`.
        """
        return self._run(jobs.waited(job, poll, self._patience))

    def cancel(self, job: str) -> None:
        """Cancel a job and delete its files.

        Raises:
          CallError: see `problems`; not found also where the answer to a first try was lost.
        """
        self._call(jobs.cancelled(job))

    def download(self, job: str, path: Path | str) -> Path:
        """Fetch the result of a job into a file, which is there when it is whole, or not at all.

        Raises:
          CallError: see `problems`; also where the job is not done.
        """
        return self._run(jobs.downloaded(job, Path(path), self._patience))

    def close(self) -> None:
        """Close the connections."""
        if self._is_own:
            self._http.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _call(self, ask: Ask[T]) -> T:
        return self._run(exchange(ask, self._patience))

    @contextmanager
    def _lines(self, ask: Ask[httpx.Response], form: Form[H, T]) -> Iterator[Lines[H, T]]:
        response = self._call(ask)
        try:
            yield Lines(response, form)
        finally:
            response.close()

    def _run(self, talk: Talk[T]) -> T:
        came: Came = None
        while True:
            try:
                step = talk.send(came)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Ask):
                came = self._send(step)
            else:
                time.sleep(step)
                came = None

    def _send(self, ask: Ask[Any]) -> httpx.Response | httpx.RequestError:
        with ExitStack() as stack:
            content = stack.enter_context(ask.upload.open("rb")) if ask.upload else ask.content
            request = self._http.build_request(**self._arguments(ask, content))
            try:
                response = self._http.send(request, stream=True)
                if not ask.is_answered_by(response) or not (ask.sink or ask.is_stream):
                    response.read()
                elif ask.sink:
                    stack.callback(response.close)
                    file = stack.enter_context(ask.sink.opened(response))
                    for data in response.iter_raw():
                        file.write(data)
            except httpx.RequestError as error:
                return error
            return response


class AsyncClient(_Caller):
    """The same, awaited."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = _TIMEOUT,
        retries: int = _RETRIES,
        longest_wait: float = _LONGEST_WAIT,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """Name a service, as `Client` does."""
        super().__init__(url, api_key, timeout, retries, longest_wait)
        self._http = http or httpx.AsyncClient()
        self._is_own = http is None

    async def score(self, items: Items, **options: Unpack[ScoreOptions]) -> ScoreResponse:
        """Score variants, or pairs of sequences."""
        return await self._call(calls.score(items, options))

    @asynccontextmanager
    async def score_lines(
        self, items: Items, **options: Unpack[ScoreOptions]
    ) -> AsyncIterator[AsyncLines[ScoreResponse, ScoredItem]]:
        """Score a long list; its results come one by one."""
        async with self._lines(*calls.score_lines(items, options)) as lines:
            yield lines

    async def triage(self, items: Items, **options: Unpack[TriageOptions]) -> TriageResponse:
        """Rank variants as one list, and say of each what can be said at an error rate."""
        return await self._call(calls.triage(items, options))

    async def sequences(
        self, given: Iterable[str | SequenceBody], **options: Unpack[SequenceOptions]
    ) -> SequencesResponse:
        """Predict the activity of plain sequences."""
        return await self._call(calls.sequences(given, options))

    async def saturation(
        self, contig: str, start: int, end: int, **options: Unpack[RegionOptions]
    ) -> SaturationResponse:
        """Score every single-base change of a region; 1-based, both ends included."""
        return await self._call(calls.saturation(contig, start, end, options))

    @asynccontextmanager
    async def saturation_lines(
        self, contig: str, start: int, end: int, **options: Unpack[RegionOptions]
    ) -> AsyncIterator[AsyncLines[SaturationResponse, SaturationResponse]]:
        """Do the same, a run of positions after the other."""
        async with self._lines(*calls.saturation_lines(contig, start, end, options)) as lines:
            yield lines

    async def variants(self, spelling: str) -> VariantNames:
        """Ask what one variant, in any common spelling, is called, and how to score it."""
        return await self._call(calls.variants(spelling))

    async def models(self) -> ModelList:
        """List the served models and the limits of a request."""
        return await self._call(calls.models())

    async def card(self, name: str) -> dict[str, Any]:
        """Fetch a model's card."""
        return await self._call(calls.card(name))

    async def live(self) -> bool:
        """Say whether the process runs."""
        return (await self._call(calls.live())).status == "live"

    async def ready(self) -> Ready:
        """Say whether the service answers, and on which device."""
        return await self._call(calls.ready())

    async def submit(self, vcf: Path | str, **options: Unpack[JobOptions]) -> Job:
        """Upload a VCF to be scored; the same file with the same options is the same job."""
        return await self._call(jobs.submitted(Path(vcf), options))

    async def job(self, job: str) -> Job:
        """Say how far a job is."""
        return await self._call(jobs.told(job))

    async def wait(self, job: str, *, poll: float = _POLL) -> Job:
        """Wait until a job is over, looking every `poll` seconds, and return it.

        One that failed, or was cancelled, is returned too: look at `state`, and at `error`.
        """
        return await self._run(jobs.waited(job, poll, self._patience))

    async def cancel(self, job: str) -> None:
        """Cancel a job and delete its files.

        Raises:
          CallError: see `problems`; not found also where the answer to a first try was lost.
        """
        await self._call(jobs.cancelled(job))

    async def download(self, job: str, path: Path | str) -> Path:
        """Fetch the result of a job into a file, which is there when it is whole, or not at all.

        Raises:
          CallError: see `problems`; also where the job is not done.
        """
        return await self._run(jobs.downloaded(job, Path(path), self._patience))

    async def close(self) -> None:
        """Close the connections."""
        if self._is_own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def _call(self, ask: Ask[T]) -> T:
        return await self._run(exchange(ask, self._patience))

    @asynccontextmanager
    async def _lines(
        self, ask: Ask[httpx.Response], form: Form[H, T]
    ) -> AsyncIterator[AsyncLines[H, T]]:
        response = await self._call(ask)
        try:
            yield await AsyncLines(response, form).opened()
        finally:
            await response.aclose()

    async def _run(self, talk: Talk[T]) -> T:
        came: Came = None
        while True:
            try:
                step = talk.send(came)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Ask):
                came = await self._send(step)
            else:
                await anyio.sleep(step)
                came = None

    async def _send(self, ask: Ask[Any]) -> httpx.Response | httpx.RequestError:
        with ExitStack() as stack:
            content = _pieces(ask.upload) if ask.upload else ask.content
            request = self._http.build_request(**self._arguments(ask, content))
            try:
                response = await self._http.send(request, stream=True)
                if not ask.is_answered_by(response) or not (ask.sink or ask.is_stream):
                    await response.aread()
                elif ask.sink:
                    try:
                        file = stack.enter_context(ask.sink.opened(response))
                        async for data in response.aiter_raw():
                            await anyio.to_thread.run_sync(file.write, data)
                    finally:
                        await response.aclose()
            except httpx.RequestError as error:
                return error
            return response


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while data := await file.read(_CHUNK):
            yield data
