"""The client, blocking and awaiting: against the app itself, and against servers that misbehave."""

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service import client as door
from service.app import create_app
from service.client import (
    AsyncClient,
    BusyError,
    CallError,
    Client,
    GivenError,
    RefusedError,
    SequencePair,
    UnreachableError,
    UnreadableError,
    Variant,
    VariantBody,
)
from service.remote.lines import Form, LineReader
from service.settings import Settings
from service.web.keys import add_key
from tests.genomes import CHR1
from tests.lean_client import served

URL = "http://varsigma.test"
ALT = "A" if CHR1[40] != "A" else "C"
SNV = Variant("chr1", 41, CHR1[40], ALT)
NAMED = VariantBody(contig="1", pos=41, ref=CHR1[40], alt=ALT, id="mine")
PAIR = SequencePair(ref="ACGTACGT", alt="ACGAACGT", id="p")
MODES = ("blocking", "awaiting")


class Asked:
    """A client of either kind, called in one way."""

    def __init__(
        self,
        mode: str,
        *,
        app: FastAPI | None = None,
        handler: Callable[[httpx.Request], httpx.Response] | None = None,
        url: str = URL,
        **settings: Any,
    ) -> None:
        self.is_blocking = mode == "blocking"
        self._app, self._handler = app, handler
        self._url, self._settings = url, settings

    def _http(self) -> Any:
        if self._handler is not None:
            transport: Any = httpx.MockTransport(self._handler)
        elif self._app is not None and self.is_blocking:
            return TestClient(self._app)
        elif self._app is not None:
            transport = httpx.ASGITransport(self._app)
        else:
            return None
        return httpx.Client(transport=transport) if self.is_blocking else httpx.AsyncClient(
            transport=transport
        )  # fmt: skip

    def do(self, method: str, *arguments: Any, **options: Any) -> Any:
        http = self._http()
        if self.is_blocking:
            with Client(self._url, http=http, **self._settings) as client:
                return getattr(client, method)(*arguments, **options)

        async def scenario() -> Any:
            async with AsyncClient(self._url, http=http, **self._settings) as client:
                return await getattr(client, method)(*arguments, **options)

        return anyio.run(scenario)

    def lines(
        self, method: str, *arguments: Any, most: int | None = None, **options: Any
    ) -> tuple[Any, list[Any]]:
        http, items = self._http(), []
        if self.is_blocking:
            with (
                Client(self._url, http=http, **self._settings) as client,
                getattr(client, method)(*arguments, **options) as lines,
            ):
                for item in lines:
                    items.append(item)
                    if len(items) == most:
                        break
                return lines.head, items

        async def scenario() -> tuple[Any, list[Any]]:
            async with (
                AsyncClient(self._url, http=http, **self._settings) as client,
                getattr(client, method)(*arguments, **options) as lines,
            ):
                async for item in lines:
                    items.append(item)
                    if len(items) == most:
                        break
                return lines.head, items

        return anyio.run(scenario)


@pytest.fixture(scope="module")
def app(toy_models_dir, tmp_path_factory) -> Iterator[FastAPI]:
    fasta = tmp_path_factory.mktemp("genome") / "tiny.fa"
    fasta.write_text(f">chr1\n{CHR1}\n")
    settings = Settings(models=toy_models_dir, reference=fasta, threads=1, device="cpu")
    with TestClient(create_app(settings)) as opened:
        yield opened.app


@pytest.fixture(params=MODES)
def mode(request) -> str:
    return request.param


@pytest.fixture
def asked(mode, app) -> Asked:
    return Asked(mode, app=app)


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Seconds that a client would have waited."""
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(door.time, "sleep", waited.append)
    monkeypatch.setattr(door.anyio, "sleep", note)
    return waited


def plain(app: FastAPI, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = TestClient(app).post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- against the app -----------------------------------------------------------------------------


def test_variants_get_the_answer_of_the_service(asked, app):
    found = asked.do("score", [SNV, NAMED], model="sum_one", shifts=[-1, 0, 1], coverage=0.5)
    variants = [{"contig": "chr1", "pos": 41, "ref": CHR1[40], "alt": ALT}]
    variants.append(variants[0] | {"contig": "1", "id": "mine"})
    body = {"model": "sum_one", "shifts": [-1, 0, 1], "coverage": 0.5, "variants": variants}
    assert found.model_dump(mode="json") == plain(app, "/v1/score", body)
    assert [result.id for result in found.results] == [None, "mine"]
    assert found.results[0].targets["K562"].sd > 0


def test_pairs_and_nothing_at_all(asked, app):
    found = asked.do("score", [PAIR], strands=1)
    body = {"sequences": [PAIR.model_dump()], "strands": 1}
    assert found.model_dump(mode="json") == plain(app, "/v1/score", body)
    assert asked.do("score", []).results == []


def test_a_long_list_comes_in_lines(asked):
    items = [PAIR.model_copy(update={"id": str(number)}) for number in range(150)]
    head, found = asked.lines("score_lines", items, model="sum")
    assert head.provenance["model"] == "sum"
    assert found == asked.do("score", items, model="sum").results
    assert [item.id for item in found] == [str(number) for number in range(150)]
    assert asked.lines("score_lines", [])[1] == []


def test_sequences(asked, app):
    found = asked.do("sequences", ["ACGT", "ACGU"], model="sum", strands=1)
    body = {"model": "sum", "strands": 1, "sequences": [{"sequence": "ACGT"}, {"sequence": "ACGU"}]}
    assert found.model_dump(mode="json") == plain(app, "/v1/sequences", body)
    assert [result.status for result in found.results] == ["ok", "non_acgtn"]


def test_a_region_whole_and_in_lines(asked, app):
    whole = asked.do("saturation", "chr1", 12, 92, model="sum", strands=1)
    body = {"contig": "chr1", "start": 12, "end": 92, "model": "sum", "strands": 1}
    assert whole.model_dump(mode="json") == plain(app, "/v1/saturation", body)
    head, parts = asked.lines("saturation_lines", "chr1", 12, 92, model="sum", strands=1)
    assert (head.start, head.end, head.targets) == (12, 92, {})
    assert len(parts) > 1
    rows = [row for part in parts for row in part.targets["K562"].effect]
    assert rows == whole.targets["K562"].effect


def test_a_variant_in_any_spelling_gets_its_name_and_can_be_scored(asked, app):
    named = asked.do("variants", f"chr1:g.41{CHR1[40]}>{ALT}")
    other = TestClient(app).get("/v1/variants", params={"q": f"1-41-{CHR1[40]}-{ALT}"}).json()
    assert named.model_dump(mode="json") == other | {"notes": named.notes}
    body = VariantBody(contig=named.contig, pos=named.pos, ref=named.ref, alt=named.alt)
    assert asked.do("score", [body], model="sum").results[0].status == "ok"
    with pytest.raises(RefusedError, match="rs12345") as error:
        asked.do("variants", "rs12345")
    assert error.value.status == 422


def test_what_the_service_says_of_itself(asked, app):
    models = asked.do("models")
    assert [model.name for model in models.models] == ["sum", "sum_one"]
    assert models.limits.max_items == 1000
    assert asked.do("card", "sum")["summary"] == "Weighted count of bases, for tests."
    assert asked.do("live") is True
    assert asked.do("ready").models[0].providers == ["CPUExecutionProvider"]


def test_that_it_drains_is_an_answer(asked, app, waits):
    app.state.engine.is_draining = True
    try:
        assert asked.do("ready").status == "draining"
    finally:
        app.state.engine.is_draining = False
    assert not waits


def test_a_refusal_carries_what_the_service_said(asked):
    with pytest.raises(RefusedError) as caught:
        asked.do("score", [PAIR], model="dh8")
    error = caught.value
    assert (error.type, error.status) == ("model_not_found", 404)
    assert error.detail == {"available": ["sum", "sum_one"]}
    assert str(error) == f"model_not_found: {error.message}"
    assert len(error.request_id) >= 8
    with pytest.raises(RefusedError, match="model_not_found"):
        asked.lines("score_lines", [PAIR], model="dh8")


def test_a_deadline_is_passed_on(asked):
    with pytest.raises(RefusedError) as caught:
        asked.do("score", [PAIR], seconds=1e-6)
    assert (caught.value.type, caught.value.status) == ("deadline_exceeded", 504)


def test_a_service_with_keys(mode, toy_models_dir, tmp_path):
    key = add_key(tmp_path / "keys", "me", None)
    settings = Settings(models=toy_models_dir, threads=1, device="cpu", keys=tmp_path / "keys")
    app = create_app(settings)
    for wrong in (None, key + "x"):
        with pytest.raises(RefusedError) as caught:
            Asked(mode, app=app, api_key=wrong).do("score", [PAIR])
        assert (caught.value.type, caught.value.status) == ("unauthorised", 401)
    for same in (key, f"{key}\n"):
        answer = Asked(mode, app=app, api_key=same).do("score", [PAIR])
        assert answer.results[0].status == "ok"
    for no_key in ("", f"{key}\nx", f"{key}é"):
        with pytest.raises(ValueError, match="printable") as refused:
            Asked(mode, app=app, api_key=no_key).do("score", [PAIR])
        assert key not in str(refused.value)


def never_asked(_: httpx.Request) -> httpx.Response:
    raise AssertionError


def test_what_no_service_would_take_is_not_sent(mode):
    asked = Asked(mode, handler=never_asked)
    for items, options in (([SNV, PAIR], {}), ([PAIR], {"strands": 3}), ([PAIR], {"stands": 1})):
        with pytest.raises(ValueError, match=r"either|strands|stands"):
            asked.do("score", items, **options)


@pytest.mark.parametrize(
    ("call", "given", "message"),
    [
        (
            "score", ([SNV, Variant("chr17", -5, "G", "A")],),
            "variants[1] (chr17:-5:G>A): pos: Input should be greater than or equal to 0",
        ),
        ("sequences", (["ACGT", ""],), "sequences[1]: sequence: String should have at least 1"),
        ("variants", ("",), "q: String should have at least 1"),
        ("saturation", ("chr1", 5, 4), "end must not be less than start"),
        ("score", ([SNV, PAIR],), "one request holds either variants or pairs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_that_names_the_record(mode, call, given, message):
    with pytest.raises(CallError) as error:
        Asked(mode, handler=never_asked).do(call, *given)
    assert isinstance(error.value, GivenError)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def live(toy_models_dir) -> Iterator[str]:
    with served("--models", toy_models_dir, "--threads", 1) as server:
        yield f"http://127.0.0.1:{server.port}"


def test_over_a_real_connection_a_reader_may_leave_early(mode, live):
    asked = Asked(mode, url=f"{live}/")
    _, found = asked.lines("score_lines", [PAIR] * 5000, model="sum", most=3)
    assert [item.index for item in found] == [0, 1, 2]
    assert asked.do("score", [PAIR], model="sum").results[0].status == "ok"


def test_nobody_listens(mode, waits):
    with pytest.raises(UnreachableError, match=r"GET http://127.0.0.1:1/health/live"):
        Asked(mode, url="http://127.0.0.1:1", retries=2).do("live")
    assert len(waits) == 2


# --- retries -------------------------------------------------------------------------------------


def refused(code: int, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"error": {"type": "overloaded", "message": "full", "detail": {"limit": 4}}}
    return httpx.Response(code, json=body, headers=headers)


def in_turn(*answers: httpx.Response | Exception) -> tuple[Any, list[httpx.Request]]:
    """Return a handler that gives one after the other, and the list of what it was asked."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = answers[len(seen) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, seen


def alive() -> httpx.Response:
    return httpx.Response(200, json={"status": "live"})


@pytest.mark.parametrize(
    ("first", "least"),
    [
        (lambda: refused(503, {"Retry-After": "3"}), 3),
        (lambda: refused(429, {"Retry-After": "7"}), 7),
        (lambda: refused(503), 0.25),
        (lambda: refused(503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), 0.25),
        (lambda: refused(503, {"Retry-After": "soon"}), 0.25),
        (lambda: httpx.Response(503, text="<html>", headers={"Retry-After": "2"}), 2),
        (lambda: httpx.ConnectError("refused"), 0.25),
        (lambda: httpx.ConnectTimeout("late"), 0.25),
        (lambda: httpx.ReadError("reset"), 0.25),
        (lambda: httpx.RemoteProtocolError("disconnected"), 0.25),
    ],
)
def test_what_may_pass_is_asked_again_after_its_time(mode, waits, first, least):
    handler, seen = in_turn(first(), alive())
    assert Asked(mode, handler=handler).do("live") is True
    assert len(seen) == 2
    assert least <= waits[0] <= max(least, 0.5)


def test_waits_grow_and_end(mode, waits):
    handler, seen = in_turn(*[httpx.ConnectError("refused")] * 4)
    with pytest.raises(UnreachableError):
        Asked(mode, handler=handler, retries=3).do("live")
    assert len(seen) == 4
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))


def test_a_busy_service_is_given_up_in_the_end(mode, waits):
    handler, seen = in_turn(*[refused(503, {"Retry-After": "1"})] * 3)
    with pytest.raises(BusyError) as caught:
        Asked(mode, handler=handler, retries=2).do("live")
    assert (caught.value.type, caught.value.status) == ("overloaded", 503)
    assert caught.value.retry_after == 1
    assert len(seen) == 3


def test_nobody_waits_longer_than_they_said(mode, waits):
    handler, _ = in_turn(refused(429, {"Retry-After": "31"}))
    with pytest.raises(BusyError):
        Asked(mode, handler=handler, longest_wait=30).do("live")
    assert not waits


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: refused(500), RefusedError),
        (lambda: refused(504), RefusedError),
        (lambda: httpx.Response(502, text="<html>bad gateway</html>"), UnreadableError),
        (lambda: httpx.Response(200, text="<html>log in</html>"), UnreadableError),
        (lambda: httpx.Response(200, json={"status": 5}), UnreadableError),
        (lambda: httpx.Response(302, headers={"location": "/"}), UnreadableError),
        (lambda: httpx.ReadTimeout("late"), UnreachableError),
        (lambda: httpx.UnsupportedProtocol("ftp"), UnreachableError),
    ],
)
def test_what_would_not_pass_is_asked_once(mode, waits, answer, error):
    handler, seen = in_turn(answer(), alive())
    with pytest.raises(error) as caught:
        Asked(mode, handler=handler).do("live")
    assert type(caught.value) is error
    assert len(seen) == 1
    assert not waits


def test_requests_say_who_asks_and_how_long(mode):
    handler, seen = in_turn(alive(), httpx.Response(200, json={"provenance": {}, "results": []}))
    asked = Asked(mode, handler=handler, api_key="varsigma_x", url=f"{URL}/below/")
    asked.do("live")
    asked.do("sequences", [], seconds=2.5)
    first, second = seen
    assert str(first.url) == f"{URL}/below/health/live"
    assert first.headers["authorization"] == "Bearer varsigma_x"
    assert "x-timeout-seconds" not in first.headers
    assert second.headers["x-timeout-seconds"] == "2.5"
    assert second.extensions["timeout"]["read"] == 12.5
    assert json.loads(second.content) == {"sequences": []}


# --- lines ---------------------------------------------------------------------------------------

NOTHING = ("id", "reason", "normalised", "novelty", "novel_as", "targets")
ITEM = {"index": 0, "status": "ok"} | dict.fromkeys(NOTHING)
HEAD = {"provenance": {}, "calibrated": False, "calibrated_targets": []}
BAD = {"error": {"type": "deadline_exceeded", "message": "late", "detail": None}}


def text(*lines: Any, end: str = "\n") -> str:
    return "\n".join(map(json.dumps, lines)) + end


@pytest.mark.parametrize(
    ("body", "error", "n_items"),
    [
        (text(HEAD, ITEM, ITEM | {"index": 1}), None, 2),
        (text(HEAD, ITEM), UnreadableError, 1),
        (text(HEAD, ITEM, ITEM | {"index": 1}, end=""), UnreadableError, 1),
        (text(HEAD, ITEM, ITEM | {"index": 1}) + '{"ind', UnreadableError, 2),
        (text(HEAD), UnreadableError, 0),
        ("", UnreadableError, 0),
        (text(HEAD, ITEM, BAD), RefusedError, 1),
        (text(HEAD, ITEM, {"index": "x"}), UnreadableError, 1),
        (text("x", ITEM), UnreadableError, 0),
    ],
)
def test_an_answer_in_lines_is_whole_or_an_error(mode, body, error, n_items):
    handler, _ = in_turn(httpx.Response(200, text=body))
    got: list[Any] = []
    asked = Asked(mode, handler=handler)
    if error is None:
        got = asked.lines("score_lines", [PAIR, PAIR])[1]
    else:
        with pytest.raises(error) as caught:
            asked.lines("score_lines", [PAIR, PAIR])
        assert type(caught.value) is error
        handler, _ = in_turn(httpx.Response(200, text=body))
        if n_items:
            got = Asked(mode, handler=handler).lines("score_lines", [PAIR, PAIR], most=n_items)[1]
    assert [item.index for item in got] == list(range(n_items))


def test_a_region_in_lines_is_whole_or_an_error(mode):
    part = {"contig": "chr1", "start": 1, "end": 4, "sequence": "ACGT", "alts": "ACGT"}
    head = part | {"provenance": {}, "end": 8}
    rest = part | {"start": 5, "end": 8}
    for parts in ([part, rest], [part], []):
        numbers = {"novelty": [], "novel_as": [], "targets": {}}
        lines = [head, *(one | numbers for one in parts)]
        handler, _ = in_turn(httpx.Response(200, text=text(*lines)))
        asked = Asked(mode, handler=handler)
        if len(parts) == 2:
            assert len(asked.lines("saturation_lines", "chr1", 1, 8)[1]) == 2
        else:
            with pytest.raises(UnreadableError, match="before its last line"):
                asked.lines("saturation_lines", "chr1", 1, 8)


class Part(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body, or what comes of it before the line breaks."""

    def __init__(self, data: bytes, *, breaks: bool = True) -> None:
        self._data, self._breaks = data, breaks

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        if self._breaks:
            raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self:
            yield data


def test_lines_that_break_off(mode, waits):
    handler, seen = in_turn(httpx.Response(200, stream=Part(text(HEAD, ITEM).encode())))
    with pytest.raises(UnreachableError, match="reset"):
        Asked(mode, handler=handler).lines("score_lines", [PAIR, PAIR])
    assert len(seen) == 1, "results have been handed out: it is too late to ask again"


@given(st.lists(st.integers(1, 7), max_size=60))
def test_lines_are_read_however_they_are_cut(cuts):
    form = Form(json.loads, json.loads, lambda _, last: last == {"n": 9})
    data = "".join(json.dumps({"n": n}) + "\n" for n in range(10)).encode()
    reader, found, head, at = LineReader(form), [], None, 0
    for size in [*cuts, len(data)]:
        reader.feed(data[at : at + size])
        at += size
        if head is None and reader.has_line:
            head = reader.head()
        if head is not None:
            found += reader.items()
    assert head == {"n": 0}
    assert [item["n"] for item in found] == list(range(1, 10))
    reader.finish(head)


# --- jobs ----------------------------------------------------------------------------------------

RESULT = bytes(range(256)) * 40


class JobServer:
    """The routes of jobs, as far as the client knows them; the result breaks off now and then."""

    def __init__(self, tags: tuple[str, ...] = ('"a"',), n_breaks: int = 0) -> None:
        self.seen: list[httpx.Request] = []
        self.uploaded = b""
        self._states = iter(["queued", "running", "done"])
        self._tags, self._n_breaks, self.n_results = tags, n_breaks, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        job = {"id": "abc", "state": "queued"}
        if request.method == "POST":
            self.uploaded = request.content
            return httpx.Response(202, json=job)
        if request.method == "DELETE":
            return httpx.Response(204)
        if request.url.path == "/v1/jobs/abc":
            return httpx.Response(200, json=job | {"state": next(self._states), "n_done": 5})
        assert request.url.path == "/v1/jobs/abc/result"
        return self._result(request)

    def _result(self, request: httpx.Request) -> httpx.Response:
        tag = self._tags[min(self.n_results, len(self._tags) - 1)]
        first = 0
        if "range" in request.headers and request.headers["if-range"] == tag:
            first = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        headers = {"etag": tag}
        if first:
            headers["content-range"] = f"bytes {first}-{len(RESULT) - 1}/{len(RESULT)}"
        body, self.n_results = RESULT[first:], self.n_results + 1
        status = 206 if first else 200
        breaks = self.n_results <= self._n_breaks
        stream = Part(body[:1000] if breaks else body, breaks=breaks)
        return httpx.Response(status, headers=headers, stream=stream)


@pytest.fixture
def vcf(tmp_path) -> Path:
    path = tmp_path / "in.vcf"
    path.write_bytes(b"##fileformat=VCFv4.3\n" * 30_000)
    return path


def test_a_job_from_its_file_to_its_result(mode, waits, vcf, tmp_path):
    server = JobServer()
    asked = Asked(mode, handler=server)
    job = asked.do("submit", vcf, model="dh7", shifts=[-10, 0])
    assert (job.id, job.state, job.is_final) == ("abc", "queued", False)
    assert server.uploaded == vcf.read_bytes()
    [request] = server.seen
    assert request.headers["content-length"] == str(vcf.stat().st_size)
    assert "transfer-encoding" not in request.headers
    assert dict(request.url.params) == {"model": "dh7", "shifts": "-10,0"}
    done = asked.do("wait", job.id, poll=4)
    assert (done.state, done.is_final, done.n_done) == ("done", True, 5)
    assert waits == [4, 4]
    assert asked.do("download", job.id, tmp_path / "out.vcf") == tmp_path / "out.vcf"
    assert (tmp_path / "out.vcf").read_bytes() == RESULT
    assert asked.do("cancel", job.id) is None
    assert server.seen[-1].method == "DELETE"


def test_a_download_goes_on_where_it_broke_off(mode, waits, tmp_path):
    server = JobServer(n_breaks=6)
    # More breaks than retries: bytes came each time, so there is hope.
    Asked(mode, handler=server, retries=1).do("download", "abc", tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_bytes() == RESULT
    ranges = [request.headers.get("range") for request in server.seen]
    assert ranges == [None, *(f"bytes={n}000-" for n in range(1, 7))]
    assert [path.name for path in tmp_path.iterdir()] == ["out.vcf"]


def test_a_result_that_changed_meanwhile_is_fetched_from_its_beginning(mode, waits, tmp_path):
    server = JobServer(tags=('"a"', '"b"'), n_breaks=1)
    Asked(mode, handler=server).do("download", "abc", tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_bytes() == RESULT
    assert server.n_results == 2


def test_a_result_that_is_not_there_leaves_no_file_of_its_name(mode, tmp_path):
    handler, _ = in_turn(refused(404))
    with pytest.raises(RefusedError):
        Asked(mode, handler=handler).do("download", "../x", tmp_path / "out.vcf")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_place_for_a_result(mode, tmp_path):
    with pytest.raises(GivenError, match="is a folder; name the file"):
        Asked(mode, handler=never_asked).do("download", "abc", tmp_path)
    assert list(tmp_path.parent.glob("*.partial")) == []


def test_a_job_is_no_path(mode):
    handler, seen = in_turn(refused(404))
    with pytest.raises(RefusedError):
        Asked(mode, handler=handler).do("job", "../models?x")
    assert seen[0].url.raw_path == b"/v1/jobs/..%2Fmodels%3Fx"


# --- both ----------------------------------------------------------------------------------------


def test_both_clients_can_do_the_same():
    def surface(kind: type) -> dict[str, list[Any]]:
        return {
            name: [
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(member).parameters.values()
            ]
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert surface(Client) == surface(AsyncClient)
    assert {"score", "score_lines", "sequences", "saturation", "submit", "variants"} <= surface(
        Client
    ).keys()
