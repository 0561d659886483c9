"""What Prometheus reads at `GET /metrics`; each app has a registry of its own."""

from collections.abc import Iterator, Mapping

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service import __version__
from service.batcher import Lane
from service.engine import Engine
from service.web.record import Record

PATH = "/metrics"

_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip
_SEQUENCES = tuple(2**power for power in range(13))


class Metrics:
    """Counts what an app answers and what its models run."""

    def __init__(self, engine: Engine) -> None:
        """Begin at zero and listen to the engine."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "varsigma_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "varsigma_http_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "varsigma_http_errors", "Errors answered, refusals included", ("type",),
            registry=registry,
        )  # fmt: skip
        self._items = Counter(
            "varsigma_items", "Variants, pairs and sequences asked for", ("route",),
            registry=registry,
        )  # fmt: skip
        self._sequences = Counter(
            "varsigma_model_sequences", "Sequences that ran", ("model", "lane"), registry=registry
        )
        self._batches = Histogram(
            "varsigma_model_batch_sequences",
            "Sequences in one run of a model",
            ("model",),
            buckets=_SEQUENCES,
            registry=registry,
        )
        self._inference = Histogram(
            "varsigma_model_run_seconds",
            "Time of one run of a model",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        # `labels` costs more than counting does.
        self._known: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_EngineCollector(engine))
        engine.observers.append(self.ran)

    def answered(self, record: Record) -> None:
        """Count a request."""
        route, status = record.route or "none", str(record.status or 499)
        key = (record.method, route, status)
        if key not in self._known:
            counter = self._requests.labels(*key)
            self._known[key] = counter, self._seconds.labels(record.method, route)
        counter, histogram = self._known[key]
        counter.inc()
        histogram.observe(record.seconds)
        if record.items:
            self._items.labels(route).inc(record.items)
        if record.error is not None:
            self._errors.labels(record.error).inc()

    def ran(self, model: str, n_sequences: int, seconds: float, lanes: Mapping[Lane, int]) -> None:
        """Count a run of a model; called by the thread that ran it."""
        self._batches.labels(model).observe(n_sequences)
        self._inference.labels(model).observe(seconds)
        for lane, n in lanes.items():
            self._sequences.labels(model, lane.name.lower()).inc(n)

    def router(self) -> APIRouter:
        """Return the route that shows them."""
        router = APIRouter()

        @router.get(PATH, include_in_schema=False)
        def show() -> Response:  # in a thread, because it reads files of /proc
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

        return router


class _EngineCollector(Collector):
    """What is read when somebody looks: queues and devices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("varsigma_build", "Version", {"version": __version__})
        depth = GaugeMetricFamily(
            "varsigma_queue_sequences", "Sequences that wait", labels=("model", "lane")
        )
        device = GaugeMetricFamily(
            "varsigma_device_info", "What ONNX Runtime uses", labels=("model", "provider")
        )
        for name, batcher in self._engine.batchers.items():
            device.add_metric((name, batcher.model.providers[0]), 1)
            for lane in Lane:
                depth.add_metric((name, lane.name.lower()), batcher.depth(lane))
        yield depth
        yield device
