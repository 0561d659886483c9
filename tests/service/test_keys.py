"""API keys: the file, the command's core, and the gate."""

import hashlib
import json
import stat

import pytest

from service.cli import run
from service.errors import InputFileError, ValidationError
from service.web.keys import PREFIX, KeyRing, add_key, read_keys
from tests.service.guarded import Lines, client_of, guarded


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.jsonl"


def test_a_key_is_found_by_its_text_and_only_its_hash_is_kept(file):
    texts = {name: add_key(file, name, limit) for name, limit in (("a", 600), ("b.c-d_1", None))}
    ring = KeyRing.open(file)
    for name, text in texts.items():
        assert text.startswith(PREFIX)
        assert len(text) > len(PREFIX) + 40
        assert text not in file.read_text()
        key = ring.find(text.encode())
        assert key is not None
        assert key.name == name
        assert key.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert ring.find(texts["a"].encode()).per_minute == 600
    for wrong in (b"", b"a", texts["a"][:-1].encode(), key.sha256.encode(), b"\xff" * 40):
        assert ring.find(wrong) is None


def test_the_file_is_for_its_owner_alone(file):
    add_key(file, "a", None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_last_line_without_its_end_is_not_written_into(file):
    add_key(file, "a", None)
    file.write_text(file.read_text().rstrip("\n"))
    add_key(file, "b", None)
    assert [key.name for key in read_keys(file)] == ["a", "b"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "é", "a\n", "x" * 65])
def test_a_name_that_would_break_a_log_is_refused(file, name):
    with pytest.raises(ValidationError, match=r"^name: "):
        add_key(file, name, None)
    assert not file.exists()


def test_a_limit_is_positive_and_a_name_is_given_once(file):
    with pytest.raises(ValidationError, match=r"^per_minute: "):
        add_key(file, "a", 0)
    add_key(file, "a", None)
    with pytest.raises(ValidationError, match="'a' already; take another name"):
        add_key(file, "a", None)
    assert len(file.read_text().splitlines()) == 1


GOOD = {"name": "a", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no keys"),
        ("nonsense", ":1: "),
        ("\n{}", ":2: name"),
        (json.dumps(GOOD | {"sha256": "0"}), ":1: sha256"),
        (json.dumps(GOOD | {"sha256": "0" * 64 + "\n"}), ":1: sha256"),
        (json.dumps(GOOD | {"per_minute": 0}), ":1: per_minute"),
        (json.dumps(GOOD | {"key": "x"}), ":1: key"),
        (f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}", ":2: there is a key 'a'"),
    ],
)
def test_a_mistaken_file_stops_the_start_and_says_where(file, text, part):
    file.write_text(text)
    with pytest.raises(InputFileError, match=part) as error:
        KeyRing.open(file)
    assert "0" * 64 not in str(error.value), "not even hashes are told"


def test_a_file_that_is_not_there_or_no_text(file):
    with pytest.raises(InputFileError, match="cannot read"):
        KeyRing.open(file)
    file.write_bytes(b"\xff")
    with pytest.raises(InputFileError, match="not text"):
        KeyRing.open(file)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prints_a_key_once_that_the_service_takes(file, capsys):
    assert run(["key", "lab", "--keys", str(file), "--per-minute", "5"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    client = client_of(guarded(keys=file))
    response = client.post("/v1/charge/2", headers={"X-API-Key": out.strip()})
    assert response.status_code == 200
    assert response.headers["x-ratelimit-remaining"] == "3"


def test_the_command_takes_the_file_of_the_environment(file, capsys, monkeypatch):
    monkeypatch.setenv("VARSIGMA_KEYS", str(file))
    assert run(["key", "lab"]) == 0
    assert [key.name for key in read_keys(file)] == ["lab"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["a"], "--keys"),
        (["a/b", "--keys", "{file}"], "name: "),
        (["a", "--keys", "{file}", "--per-minute", "0"], "per_minute: "),
        (["a", "--keys", "{file}/x/y"], "y: No such file"),
    ],
)
def test_failures_of_the_command_are_one_line(file, capsys, monkeypatch, arguments, part):
    monkeypatch.delenv("VARSIGMA_KEYS", raising=False)
    assert run(["key", *(argument.format(file=file) for argument in arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert part in err
    assert err.count("\n") == 1


# --- the gate ------------------------------------------------------------------------------------


@pytest.fixture
def key(file):
    return add_key(file, "lab", None)


def test_either_header_opens_the_gate_and_the_log_names_the_key(file, key):
    lines = Lines()
    client = client_of(guarded(lines, keys=file))
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"X-API-Key": key},
        {"X-API-Key": key, "Authorization": "Basic of-a-proxy"},
    ):
        assert client.post("/v1/echo/x", content=b"{}", headers=headers).status_code == 200
        assert lines.last["key"] == "lab"
    assert key not in "".join(lines.raw)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer"},
        {"Authorization": "Bearer "}, {"Authorization": "Basic {key}"}, {"Authorization": "{key}"},
        {"X-API-Key": "{key}x"}, {"X-API-Key": "x" * 100_000}, {"Cookie": "X-API-Key={key}"},
    ],
)  # fmt: skip
def test_without_a_key_nothing_is_answered(file, key, headers):
    lines = Lines()
    client = client_of(guarded(lines, keys=file))
    given = {name: value.format(key=key) for name, value in headers.items()}
    for response in (
        client.post("/v1/echo/x", content=b"{}", headers=given),
        client.get("/v1/nowhere", headers=given),
        client.get("/HEALTH/LIVE", headers=given),
        client.get("/health/live/", headers=given),
        client.get("/v1/echo/..%2fhealth%2flive", headers=given),
    ):
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "unauthorised"
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert "x-request-id" in response.headers
        assert key not in response.text
    assert lines.last["error"] == "unauthorised"
    assert key not in "".join(lines.raw)


def test_health_documentation_and_metrics_are_open(file, key):
    client = client_of(guarded(keys=file))
    for path in ("/health/live", "/docs", "/openapi.json", "/metrics"):
        assert client.get(path).status_code == 200, path


def test_metrics_may_need_a_key_or_be_off(file, key):
    client = client_of(guarded(keys=file, metrics="key"))
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"X-API-Key": key}).status_code == 200
    client = client_of(guarded(keys=file, metrics="off"))
    assert client.get("/metrics", headers={"X-API-Key": key}).status_code == 404
    with pytest.raises(ValidationError, match="--keys"):
        guarded(metrics="key")


def test_without_a_file_of_keys_nobody_is_asked():
    response = client_of(guarded()).post("/v1/echo/x", content=b"{}")
    assert response.status_code == 200


def test_the_interface_says_which_routes_need_a_key(file, key):
    locked = client_of(guarded(keys=file)).get("/openapi.json").json()
    assert locked["components"]["securitySchemes"]["header"]["name"] == "X-API-Key"
    operation = locked["paths"]["/v1/echo/{name}"]["post"]
    assert operation["security"] == [{"bearer": []}, {"header": []}]
    assert {"401", "408", "413", "415", "429", "500"} <= operation["responses"].keys()
    assert "security" not in locked["paths"]["/health/live"]["get"]
    free = client_of(guarded()).get("/openapi.json").json()
    assert "401" not in free["paths"]["/v1/echo/{name}"]["post"]["responses"]
