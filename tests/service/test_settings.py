"""Settings: command line over environment over default; a bad value is named."""

import pytest

from service.errors import ValidationError
from service.scoring import ScoringOptions
from service.settings import ENV_PREFIX, Settings, load_settings


def test_command_line_over_environment_over_default(monkeypatch):
    assert load_settings().port == 8000
    monkeypatch.setenv("VARSIGMA_PORT", "9000")
    assert load_settings().port == 9000
    assert load_settings(port=None).port == 9000, "an option that is not given does not count"
    assert load_settings(port=9100).port == 9100


EXAMPLES = {
    "models": "m", "model": "dh7,mse", "reference": "r.fa", "assembly": "GRCh38", "device": "cpu",
    "threads": "3", "workers": "4", "ray": "auto", "shard_bytes": "9", "strands": "1",
    "shifts": "0, -10,10", "anchorings": "centre, left", "coverage": "0.5", "batch_size": "7",
    "mismatch_share": "0.2", "error_rate": "0.3", "threshold": "0", "max_triage": "5",
    "evidence": "measured.tsv",
    "host": "0.0.0.0", "port": "1", "max_body_bytes": "5",
    "max_items": "6", "max_stream_items": "7", "max_region": "8", "max_waiting_sequences": "9",
    "max_long": "2", "micro_batch": "3", "timeout": "4", "drain_delay": "1", "drain_timeout": "6",
    "debug": "1",
    "game_max_body_bytes": "9", "organization": "an institute",
    "organization_url": "https://a.org",
    "body_timeout": "5", "keys": "keys.jsonl", "metrics": "key", "cors_origins": "https://a.org",
    "jobs": "j", "max_upload_bytes": "1", "max_upload_unpacked_bytes": "2", "max_jobs": "3",
    "job_workers": "4", "keep_jobs": "0.5",
}  # fmt: skip


def test_every_setting_is_read_from_its_variable(monkeypatch):
    assert EXAMPLES.keys() == Settings.model_fields.keys()
    for name, value in EXAMPLES.items():
        monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}", value)
    settings, default = load_settings(), Settings.model_construct()
    assert not [name for name in EXAMPLES if getattr(settings, name) == getattr(default, name)]
    assert settings.model == ("dh7", "mse")
    assert settings.shifts == (0, -10, 10)
    assert settings.anchorings == ("centre", "left")
    options = settings.scoring_options()
    assert (options.shifts, options.anchorings) == (settings.shifts, settings.anchorings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("assembly", "hg19"), ("device", "gpu"), ("threads", "0"), ("strands", "3"),
        ("shifts", "a"), ("shifts", "1,1"), ("shifts", ","), ("coverage", "1"),
        ("coverage", "nan"), ("batch_size", "-1"), ("workers", "0"), ("shard_bytes", "0"),
        ("anchorings", "middle"), ("anchorings", "left,left"), ("anchorings", ","),
        ("port", "70000"), ("model", "a,a"),
        ("max_jobs", "0"), ("job_workers", "0"), ("keep_jobs", "0"), ("max_upload_bytes", "0"),
        ("error_rate", "0"), ("error_rate", "1"), ("threshold", "-1"), ("threshold", "inf"),
        ("max_triage", "0"), ("body_timeout", "0"), ("metrics", "maybe"),
        ("organization_url", "a.org"),
    ],
)  # fmt: skip
def test_a_bad_value_names_the_option_and_the_variable(monkeypatch, name, value):
    option = f"--{name.replace('_', '-')}"
    with pytest.raises(ValidationError, match=f"^{option}: .*, got ") as error:
        load_settings(**{name: value})
    assert error.value.detail == {"setting": name}
    monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}", value)
    with pytest.raises(ValidationError, match=rf"^{ENV_PREFIX}{name.upper()} \(or {option}\): "):
        load_settings()


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if field.annotation is float]
)
@pytest.mark.parametrize("value", ["nan", "-NaN", float("nan")])
def test_nan_is_refused_as_what_it_is(name, value):
    with pytest.raises(ValidationError, match=r"^--[a-z-]+: .*finite number, got "):
        load_settings(**{name: value})


def test_a_name_may_be_nan():
    assert load_settings(organization="nan").organization == "nan"


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:8000", "tcp://[fd00::1]:8000"])
def test_what_kubernetes_calls_the_port_of_a_service_is_no_port(monkeypatch, link):
    monkeypatch.setenv("VARSIGMA_PORT", link)
    assert load_settings().port == 8000
    assert load_settings(port=9100).port == 9100
    monkeypatch.setenv("VARSIGMA_HOST", link)
    assert load_settings().host == link, "only the port is theirs"


def test_variables_that_are_not_used_are_not_looked_at(monkeypatch):
    monkeypatch.setenv("VARSIGMA_MAX_ITEMS", "many")
    monkeypatch.setenv("VARSIGMA_COVERAGE", "0.5")
    settings = load_settings(used=("coverage", "strands"), strands=1)
    assert (settings.coverage, settings.strands, settings.max_items) == (0.5, 1, 1000)
    with pytest.raises(ValidationError, match="VARSIGMA_MAX_ITEMS"):
        load_settings()


def test_scoring_defaults_are_those_of_the_scorer():
    assert load_settings().scoring_options() == ScoringOptions()


def test_an_empty_variable_is_not_set_and_strange_ones_are_ignored(monkeypatch):
    monkeypatch.setenv("VARSIGMA_PORT", "")
    monkeypatch.setenv("VARSIGMA_DATA", "/somewhere")
    assert load_settings().port == 8000
