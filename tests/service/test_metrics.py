"""Metrics: what was answered, what ran, what waits; each app counts for itself."""

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from service.batcher import Lane
from tests.service.guarded import client_of, guarded


def samples(client) -> dict:
    """Value by name and labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_by_route_and_status():
    client = client_of(guarded())
    client.post("/v1/charge/3")
    client.post("/v1/charge/4")
    client.get("/v1/busy")
    for path in ("/v1/a", "/v1/b"):
        client.get(path)
    client.request("GATTACA", "/v1/busy")
    found = samples(client)
    requests = "varsigma_http_requests_total"
    assert found[requests, "/v1/charge/{n}", "200", "POST"] == 2
    assert found[requests, "/v1/busy", "503", "GET"] == 1
    assert found[requests, "404", "GET", "none"] == 2, "a path is no label"
    assert found[requests, "/v1/busy", "405", "OTHER"] == 1
    assert found["varsigma_items_total", "/v1/charge/{n}"] == 7
    assert found["varsigma_http_errors_total", "overloaded"] == 1
    assert found["varsigma_http_request_seconds_count", "/v1/charge/{n}", "POST"] == 2
    assert found["varsigma_http_request_seconds_sum", "/v1/charge/{n}", "POST"] > 0
    assert found["process_resident_memory_bytes",] > 1e6
    assert "GATTACA" not in str(found)


def test_each_app_counts_for_itself():
    one, other = client_of(guarded()), client_of(guarded())
    one.post("/v1/charge/3")
    assert ("varsigma_items_total", "/v1/charge/{n}") not in samples(other)


def test_runs_queues_and_devices():
    app = guarded()
    engine = app.state.engine
    depths = {Lane.INTERACTIVE: 5, Lane.BATCH: 70}
    model = SimpleNamespace(providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    engine.batchers["dh7"] = SimpleNamespace(model=model, depth=depths.get)
    for observer in engine.observers:
        observer("dh7", 6, 0.02, {Lane.INTERACTIVE: 2, Lane.BATCH: 4})
        observer("dh7", 300, 0.3, {Lane.INTERACTIVE: 0, Lane.BATCH: 300})
    found = samples(client_of(app))
    assert found["varsigma_queue_sequences", "dh7", "interactive"] == 5
    assert found["varsigma_queue_sequences", "batch", "dh7"] == 70
    assert found["varsigma_device_info", "CUDAExecutionProvider", "dh7"] == 1
    assert found["varsigma_model_sequences_total", "dh7", "interactive"] == 2
    assert found["varsigma_model_sequences_total", "batch", "dh7"] == 304
    assert found["varsigma_model_batch_sequences_bucket", "8.0", "dh7"] == 1
    assert found["varsigma_model_run_seconds_sum", "dh7"] == 0.32
