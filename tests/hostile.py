"""Requests that nobody means well with, each of a number: `seed, n -> Hostile`.

Half of them begin as good requests, so that they get past the first check.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import msgpack

PAIR = {"ref": "ACGTACGT", "alt": "ACGAACGT", "id": "a"}
VARIANT = {"contig": "chr1", "pos": 41, "ref": "C", "alt": "A"}
TASK = {"name": "t", "type": "expression", "cell_type": "K562", "species": "homo_sapiens"}
TENSOR = {"name": "bases", "shape": [2, 20], "datatype": "UINT8", "data": [0, 1, 2, 3] * 10}
GOOD: dict[str, list[dict[str, Any]]] = {
    "/v1/score": [
        {"sequences": [PAIR, PAIR], "strands": 2, "shifts": [0, 1], "coverage": 0.9},
        {"variants": [VARIANT, VARIANT | {"alt": "<DEL>"}], "model": "sum"},
    ],
    "/v1/triage": [
        {"variants": [VARIANT, VARIANT | {"alt": "<DEL>"}], "target": "K562", "compare": True,
         "error_rate": 0.2, "threshold": 0.1},
    ],
    "/v1/sequences": [{"sequences": [{"sequence": "ACGTACGT", "id": "a"}], "strands": 1}],
    "/v1/saturation": [{"contig": "chr1", "start": 30, "end": 40, "model": "sum"}],
    "/v2/models/sum/infer": [{"id": "1", "inputs": [TENSOR], "outputs": [{"name": "mu"}]}],
    "/predict": [
        {
            "readout": "point", "prediction_tasks": [TASK, TASK | {"name": "u", "scale": "log"}],
            "sequences": {"a": "ACGTACGT", "b": "TTTT"}, "upstream_seq": "ACGT",
            "prediction_ranges": {"a": [0, 3], "b": []},
        }
    ],
}  # fmt: skip

NAMES = [
    "../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "..\\..\\windows", "/etc/passwd", "%00",
    "sum\0", "sum%00.json", "file:///etc/passwd", "C:\\", "a" * 5000, "é", "💥", ".", "..", "~root",
    "$HOME", "{{7*7}}", "${jndi:ldap://x}", "' OR 1=1 --", "<script>alert(1)</script>", "%s%n%x",
    "CON", "sum/", "//evil.org", "\r\nX-Injected: 1", "\u202e", "\ud800",
]  # fmt: skip
NUMBERS = [
    0, -1, 1, 2**31, 2**31 - 1, -(2**31), 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, 1e308,
    5e-324, -0.0, float("nan"), float("inf"), float("-inf"), 0.5, True,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, "", "A", "N" * 300, "acgt", "ACGT\0", "\0", "\ud800", "A" * 20_000, [], {}, [[]],
    [None], {"": None}, {"__proto__": {}}, {"$ref": "#"}, "1", "NaN", "-", "*", ".", "<DEL>",
    "N[chr2:5[", *NAMES, *NUMBERS,
]  # fmt: skip
CONTENT_TYPES = [
    b"application/json; charset=utf-16", b"application/json; charset=\xff", b"text/plain", b"",
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x",
    b"application/msgpack", b"multipart/form-data", b"application/x-ndjson",
    b"application/octet-stream", b"*/*", b"\0", b"application/vnd.x+json",
    b"application/json" + b";" * 3000,
]  # fmt: skip
HEADERS = [
    (b"x-timeout-seconds", (b"0", b"-1", b"nan", b"1e-9", b"inf", b"1e400", b"\xff", b"9" * 5000)),
    (b"accept", (b"application/x-ndjson", b"application/msgpack", b"*/*;q=x", b"," * 5000)),
    (b"x-request-id", (b"\xff\n", b"a" * 9000, b'"}{', b"ok")),
    (b"content-encoding", (b"gzip", b"deflate", b"identity", b"br, gzip", b"\0")),
    (b"content-length", (b"0", b"-5", b"9" * 400, b"x", b"99999999999")),
    (b"authorization", (b"Bearer \xff", b"Basic", b"Bearer " + b"x" * 9000)),
    (b"range", (b"bytes=0-", b"bytes=-1", b"bytes=9-1,2-3", b"x")),
    (b"origin", (b"null", b"https://evil.org")),
    (b"inference-header-content-length", (b"5", b"-1", b"x")),
    (b"expect", (b"100-continue",)),
    (b"host", (b"", b"evil.org:99999", b"\xff")),
]  # fmt: skip
METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"]


@dataclass(frozen=True)
class Hostile:
    """One request.

    Attributes:
      family: what is wrong with it, in a word.
      method: HTTP method.
      path: decoded, as a server hands it on.
      headers: lower-case names and values.
      chunks: its body, in the pieces in which it comes.
      is_cut: the client leaves after them, in the middle.
    """

    family: str
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    chunks: list[bytes]
    is_cut: bool


def hostile(seed: int, n: int, max_bytes: int) -> Hostile:
    """Return request number n; the largest bodies go a little over `max_bytes`."""
    rng = random.Random(f"{seed}:{n}")
    family = rng.choice(list(MAKERS))
    path = rng.choice([*GOOD, *(f"/v1/{name}" for name in ("score", "sequences", "saturation"))])
    body, headers = MAKERS[family](rng, path, max_bytes)
    if family == "upload":
        path = "/v1/jobs"
    method = "POST"
    if rng.random() < 0.05:
        path = _path(rng)
        method = rng.choice(["GET", "POST", *METHODS])
    elif rng.random() < 0.02:
        method = rng.choice(METHODS)
    if rng.random() < 0.1:
        name, values = rng.choice(HEADERS)
        headers = [*headers, (name, rng.choice(values))]
    return Hostile(family, method, path, headers, list(_pieces(rng, body)), rng.random() < 0.02)


_MANY = 100
Made = tuple[bytes, list[tuple[bytes, bytes]]]
JSON = [(b"content-type", b"application/json")]


def _dump(value: Any, rng: random.Random) -> bytes:
    """JSON as Python writes it, with NaN and Infinity; surrogates raw now and then."""
    if rng.random() < 0.1:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps(value).encode()


def _good(rng: random.Random, path: str) -> dict[str, Any]:
    return deepcopy(rng.choice(GOOD[path]))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(items):
        yield value, key
        if isinstance(part, dict | list):
            yield from _places(part)


def _changed(rng: random.Random, path: str, _: int) -> Made:
    body = _good(rng, path)
    for _change in range(rng.choice((1, 1, 1, 2, 5))):
        places = list(_places(body))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.6:
            holder[key] = deepcopy(rng.choice(VALUES))
        elif kind < 0.75:
            del holder[key]
        elif kind < 0.9 and isinstance(holder, dict):
            holder[str(rng.choice(VALUES))[:50]] = holder.pop(key)
        elif len(places) < _MANY:  # many times many would be more than a body holds
            holder[key] = [deepcopy(holder[key])] * rng.choice((0, 2, 50, 1200))
    return _dump(body, rng), JSON


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth == 0 or kind < 0.5:
        return deepcopy(rng.choice(VALUES))
    if kind < 0.75:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys = ["variants", "sequences", "model", "inputs", "readout", "contig", "id", "\0", ""]
    return {rng.choice(keys): _value(rng, depth - 1) for _ in range(rng.randrange(4))}


def _random_json(rng: random.Random, _: str, __: int) -> Made:
    return _dump(_value(rng, 4), rng), JSON


def _damaged(rng: random.Random, path: str, _: int) -> Made:
    body = bytearray(_dump(_good(rng, path), rng))
    for _change in range(rng.choice((1, 1, 3, 20))):
        place = rng.randrange(len(body) or 1)
        kind = rng.randrange(4)
        if kind == 0:
            body[place : place + 1] = rng.randbytes(1)
        elif kind == 1:
            body[place:place] = rng.choice(
                (b"\0", b"\xff", b"\xed\xa0\x80", b"{", b"]", b"1e9", b",")
            )
        elif kind == 2:
            del body[place:]
        else:
            body[place : place + rng.randrange(9)] = b""
    return bytes(body), JSON


def _doubled(rng: random.Random, path: str, _: int) -> Made:
    """An object with a key twice, and two documents in one body."""
    text = json.dumps(_good(rng, path))
    key = rng.choice(list(json.loads(text)))
    twice = "{" + json.dumps(key) + ":" + json.dumps(rng.choice(VALUES)) + "," + text[1:]
    return rng.choice((twice, text + text, text + "\n" + text, text + ",")).encode(), JSON


def _deep(rng: random.Random, path: str, max_bytes: int) -> Made:
    n = min(rng.choice((50, 200, 1000, 10_000, 100_000)), max_bytes // 12)
    head, tail = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"sequences":', "}]")))
    nested = head * n + "1" + tail * rng.choice((n, n, 0))
    if rng.random() < 0.5:
        return nested.encode(), JSON
    key = rng.choice(list(_good(rng, path)))
    text = json.dumps(_good(rng, path) | {key: "@"})
    return text.replace('"@"', nested).encode(), JSON


def _numbers(rng: random.Random, path: str, _: int) -> Made:
    n = rng.choice((20, 400, 5000, 50_000))
    number = rng.choice(
        (
            "1" * n,
            "-" + "9" * n,
            "1e" + "9" * n,
            "0." + "0" * n + "1",
            "0" * n,
            "1" + "0" * n + "e-1",
        )
    )
    body = _good(rng, path)
    holder, key = rng.choice(list(_places(body)))
    holder[key] = "@"
    return json.dumps(body).replace('"@"', number).encode(), JSON


def _bytes(rng: random.Random, _: str, __: int) -> Made:
    body = rng.choice(
        (rng.randbytes(rng.randrange(2000)), b"\0" * rng.randrange(2000), b"", b"\xef\xbb\xbf{}")
    )
    return body, [(b"content-type", rng.choice(CONTENT_TYPES))] if rng.random() < 0.7 else []


def _typed(rng: random.Random, path: str, _: int) -> Made:
    """Good JSON in the wrong encoding or under another name."""
    body = json.dumps(_good(rng, path))
    coded = body.encode(
        rng.choice(("utf-8", "utf-16", "utf-32", "utf-16-le", "utf-7", "utf-8-sig"))
    )
    return coded, [(b"content-type", rng.choice(CONTENT_TYPES))]


def _packed(rng: random.Random, path: str, max_bytes: int) -> Made:
    """Bombs: a megabyte of the same in a kilobyte, packed twice as well."""
    inner = b"[" * 1_000_000 if rng.random() < 0.5 else json.dumps(_good(rng, path)).encode()
    packed = rng.choice(
        (gzip.compress, zlib.compress, lambda some: gzip.compress(gzip.compress(some)))
    )(inner)
    encoding = rng.choice((b"gzip", b"deflate", b"gzip, gzip", b"x-gzip", b"GZIP "))
    headers = [*JSON, (b"content-encoding", encoding)] if rng.random() < 0.8 else JSON
    return packed[:max_bytes], headers


def _long(rng: random.Random, path: str, max_bytes: int) -> Made:
    """Bodies about as long as they may be, and a little longer."""
    room = max_bytes + rng.choice((-300, -1, 0, 1, 1000))
    body = json.dumps(_good(rng, path)).encode()
    kind = rng.randrange(4)
    if kind == 0:
        return body.ljust(room), JSON
    if kind == 1:
        return (b'{"sequences":[' + b'{"ref":"A","alt":"C"},' * (room // 22))[:room], JSON
    if kind == 2:
        return b'{"model":"' + b"a" * (room - 12) + b'"}', JSON
    return (b'{"' + b'a":1,"' * (room // 6))[:room], JSON


def _wide(rng: random.Random, path: str, max_bytes: int) -> Made:
    """As many small things as there is room for: each costs the server more than its bytes."""
    body = _good(rng, path)
    lists = [key for key, value in body.items() if isinstance(value, list | dict)]
    key = rng.choice([*lists, "wrong"])
    few, many = json.dumps(body | {key: "@"}).split('"@"')
    room = max_bytes - len(few) - len(many) - 9
    small = rng.choice(("0", "{}", "[]", "1.5", '""', "null", json.dumps(TASK)))
    n = room // (len(small) + 1)
    inside = f"[{','.join([small] * n)}]"
    if rng.random() < 0.5:
        n = room // (len(small) + 10)
        inside = "{" + ",".join(f'"{number:06}":{small}' for number in range(n)) + "}"
    if key == "wrong" and rng.random() < 0.5:
        return f"{inside[:-1]},{few[1:]}1{many}".encode(), JSON
    return f"{few}{inside}{many}".encode(), JSON


def _product(rng: random.Random, _: str, max_bytes: int) -> Made:
    """Many tasks of many sequences: the answer to few bytes would be endless."""
    n = max_bytes // 2 // len(json.dumps(TASK)) - 2
    body = _good(rng, "/predict") | {"prediction_ranges": None, "prediction_tasks": [TASK] * n}
    body["sequences"] = {f"{number:06}": "A" for number in range(max_bytes // 2 // 15)}
    return json.dumps(body).encode(), JSON


def _msgpack(rng: random.Random, path: str, _: int) -> Made:
    body = deepcopy(GOOD["/predict"][0])
    holder, key = rng.choice(list(_places(body)))
    values = [value for value in VALUES if not isinstance(value, int) or abs(value) < 2**63]
    holder[key] = deepcopy(rng.choice(values))
    packed = bytearray(msgpack.packb(body, unicode_errors="surrogatepass"))
    kind = rng.randrange(5)
    if kind == 1:
        packed[rng.randrange(len(packed))] = rng.randrange(256)
    elif kind == 2:  # announce an array, map, string, binary or extension of four thousand million
        packed = bytearray(rng.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")) + b"\xff" * 4)
    elif kind == 3:
        packed = bytearray(b"\x91" * rng.choice((500, 100_000)) + b"\x01")
    elif kind == 4:
        packed = bytearray(msgpack.packb({1: 2, b"\xff": msgpack.ExtType(5, b"x"), None: [2.5]}))
    return bytes(packed), [(b"content-type", b"application/msgpack")]


VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINE = b"chr1\t41\t.\tC\tA\t.\t.\t.\n"


def _upload(rng: random.Random, _: str, max_bytes: int) -> Made:
    """Files that are no VCF, or not whole, or too much of one."""
    body = bytearray(VCF + LINE * rng.choice((0, 1, 50)))
    if rng.random() < 0.3:
        body = bytearray(VCF + LINE * 200_000)  # four megabytes, which are a few kilobytes packed
    pack = rng.choice((bytes, bytes, gzip.compress, lambda some: gzip.compress(bytes(some)) * 3))
    body = bytearray(pack(body))[: 2 * max_bytes + rng.choice((0, 1))]
    for _change in range(rng.choice((0, 0, 1, 3, 20))):
        place = rng.randrange(min(len(body), rng.choice((20, 1 << 20))) or 1)
        body[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    if rng.random() < 0.2:
        del body[rng.randrange(len(body) or 1) :]
    starts = (b"", b"", b"", b"BCF\x02\x02", b"\x1f\x8b\x08\x04", b"\0", b"\xef\xbb\xbf")
    return rng.choice(starts) + bytes(body), [(b"content-type", rng.choice(CONTENT_TYPES))]


MAKERS: dict[str, Callable[[random.Random, str, int], Made]] = {
    "changed": _changed,
    "random": _random_json,
    "damaged": _damaged,
    "doubled": _doubled,
    "deep": _deep,
    "numbers": _numbers,
    "bytes": _bytes,
    "typed": _typed,
    "packed": _packed,
    "long": _long,
    "wide": _wide,
    "product": _product,
    "msgpack": _msgpack,
    "upload": _upload,
}


def _path(rng: random.Random) -> str:
    name = rng.choice(NAMES).encode("utf-8", "replace").decode()
    return rng.choice(
        (
            f"/v1/models/{name}", f"/v2/models/{name}", f"/v2/models/{name}/infer",
            f"/v2/models/sum/versions/{name}/infer", f"/v1/jobs/{name}", f"/v1/jobs/{name}/result",
            "/v1/jobs", f"/{name}", f"//{name}",
            f"/v1/score/{name}", f"/docs/{name}", "/openapi.json", "/metrics", "/service-info",
            "/help", "/formats", "/health/ready", "/v2", "",
        )
    )  # fmt: skip


def _pieces(rng: random.Random, body: bytes) -> Iterator[bytes]:
    if rng.random() < 0.7 or len(body) < 2:
        yield body
        return
    cuts = sorted(rng.randrange(len(body)) for _ in range(rng.randrange(1, 6)))
    for first, last in zip([0, *cuts], [*cuts, len(body)], strict=True):
        yield body[first:last]
