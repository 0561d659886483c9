"""Dockerfile and compose.yaml: what they name exists, what must agree does, nothing is root."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from service.app import create_app
from service.settings import ENV_PREFIX, Settings, load_settings
from service.web import metrics

ROOT = Path(__file__).parents[1]
COMPOSE, CUDA = (
    yaml.safe_load((ROOT / name).read_text()) for name in ("compose.yaml", "compose.cuda.yaml")
)
SERVICES = COMPOSE["services"]
WRITABLE = {"/tmp", "/jobs"}


def with_defaults(text: str) -> str:
    """Fill in `${NAME:-default}`."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage with those of the stages that it begins from."""
    folder = tmp_path_factory.mktemp("docker")
    (folder / "Dockerfile").write_text((ROOT / "Dockerfile").read_text())
    found: dict[str, list[tuple[str, str]]] = {}
    for step in DockerfileParser(str(folder)).structure:
        if step["instruction"] == "FROM":
            base, _, name = step["value"].partition(" AS ")
            found[name] = list(found.get(base, []))
        elif found and step["instruction"] != "COMMENT":
            found[name].append((step["instruction"], step["value"]))
    return found


def last(stage: list[tuple[str, str]], instruction: str) -> str:
    return [value for name, value in stage if name == instruction][-1]


def environment(stage: list[tuple[str, str]]) -> dict[str, str]:
    texts = [value for name, value in stage if name == "ENV"]
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(texts)))


def port_of(stage: list[tuple[str, str]]) -> str:
    command = json.loads(last(stage, "CMD"))
    return str(command[command.index("--port") + 1])


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_runs_without_root_and_tells_nobody(stages, target):
    stage = stages[target]
    assert int(last(stage, "USER").partition(":")[0]) > 0
    variables = environment(stage)
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["HOME"] in WRITABLE
    owner = last(stage, "USER")
    assert ("COPY", f"--from=wheel --chown={owner} /jobs /jobs") in stage
    assert not [value for name, value in stage if name == "RUN"], "nothing is built in it"


def test_the_default_image_is_the_one_for_the_cpu(stages):
    assert list(stages)[-1] == "cpu"
    assert environment(stages["cuda"])["VARSIGMA_DEVICE"] == "cuda"
    assert "[cuda]" in last(stages["install-cuda"], "RUN")
    assert "[cuda]" not in last(stages["install-cpu"], "RUN")


def test_an_image_is_healthy_when_it_answers_requests(stages, toy_models_dir):
    for target in ("cpu", "cuda"):
        check = last(stages[target], "HEALTHCHECK")
        [(port, path)] = re.findall(r"http://127\.0\.0\.1:(\d+)([\w/]+)", check)
        assert port == port_of(stages[target]) == last(stages[target], "EXPOSE")
        assert path == "/health/ready"
    app = create_app(Settings(models=toy_models_dir, device="cpu", threads=1))
    assert path in app.openapi()["paths"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_not_do_what_it_need_not(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert int(service["user"].partition(":")[0]) > 0
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    image, _, version = service["image"].rpartition(":")
    assert image
    assert version != "latest"


def test_what_is_written_has_a_place(stages):
    service = SERVICES["varsigma"]
    mounted = {with_defaults(volume).split(":")[1] for volume in service["volumes"]}
    mounted |= {tmpfs.split(":")[0] for tmpfs in service["tmpfs"]}
    assert mounted >= WRITABLE
    for one in SERVICES.values():
        for volume in map(with_defaults, one["volumes"]):
            source, target, *mode = volume.split(":")
            if source.startswith((".", "/")):
                assert (ROOT / source).is_dir()
                assert mode == ["ro"], target
            else:
                assert source in COMPOSE["volumes"]
    assert service["user"] == last(stages["cpu"], "USER")


@pytest.mark.parametrize("name", ["README.md", "Dockerfile"])
def test_the_commands_that_are_shown_have_a_place_for_what_is_written(name):
    text = re.sub(r"\\\n# *", "", (ROOT / name).read_text())
    commands = re.findall(r"docker run .*", text)
    assert commands
    for command in commands:
        places = re.findall(r"--tmpfs (\S+)", command)
        places += [
            mount.split(":")[1]
            for mount in re.findall(r"-v (\S+)", command)
            if not mount.endswith(":ro")
        ]
        assert "--read-only" in command
        assert set(places) >= WRITABLE


def settings_of(variables: dict[str, str]) -> dict[str, Any]:
    """Names of settings -> values, of the variables that are settings."""
    own = {name: text for name, text in variables.items() if name.startswith(ENV_PREFIX)}
    return {name.removeprefix(ENV_PREFIX).lower(): with_defaults(own[name]) for name in own}


def test_the_settings_exist_and_are_allowed(stages, monkeypatch):
    given = settings_of(SERVICES["varsigma"]["environment"])
    assert given
    for values in (given, *(settings_of(environment(stage)) for stage in stages.values())):
        assert values.keys() <= Settings.model_fields.keys()
        for name, value in values.items():
            monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}", value)
            assert str(getattr(load_settings(used=[name]), name)) == value
    folder, fasta = given["reference"].rsplit("/", 1)
    sources = dict(
        with_defaults(volume).split(":")[1::-1] for volume in SERVICES["varsigma"]["volumes"]
    )
    assert (ROOT / sources[folder] / fasta).is_file()


def test_prometheus_finds_the_metrics(stages, toy_models_dir):
    prometheus = SERVICES["prometheus"]
    [mount] = prometheus["configs"]
    config = yaml.safe_load(COMPOSE["configs"][mount["source"]]["content"])
    assert mount["target"] == "/etc/prometheus/prometheus.yml"
    [job] = config["scrape_configs"]
    assert job["metrics_path"] == metrics.PATH
    [target] = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in SERVICES
    assert port == port_of(stages["cpu"])
    assert SERVICES[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    given = settings_of(SERVICES[host]["environment"])
    assert given["metrics"] == "open", "Prometheus here has no key"
    assert prometheus["depends_on"].keys() <= SERVICES.keys()


def test_there_is_time_to_finish_what_was_accepted(stages):
    settings = Settings(**settings_of(SERVICES["varsigma"]["environment"]))
    seconds = int(SERVICES["varsigma"]["stop_grace_period"].removesuffix("s"))
    assert seconds > settings.drain_delay + settings.drain_timeout
    [stated] = re.findall(r"--stop-timeout (\d+)", (ROOT / "Dockerfile").read_text())
    assert int(stated) == seconds


def test_the_file_for_a_gpu_changes_the_service_alone(stages):
    [(name, service)] = CUDA["services"].items()
    assert name in SERVICES
    assert service["build"]["target"] in stages
    assert SERVICES[name]["build"]["target"] in stages
    [device] = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_build_gets_what_it_copies():
    # .dockerignore lets in what is listed, and nothing else.
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    text = (ROOT / "Dockerfile").read_text()
    sources = [
        word
        for line in re.findall(r"^COPY (?!--)(.*)", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert sources
    assert set(sources) <= set(allowed)
    for source in sources:
        assert (ROOT / source).exists()
