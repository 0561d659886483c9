"""What Prometheus reads at `GET /metrics`; each app has a registry of its own.

Where a service has several workers, they count in files of one folder (`service.web.shared`), and
whichever of them is asked answers for all.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service import __version__
from service.batcher import Lane
from service.engine import Engine
from service.web.record import Record
from service.web.shared import metrics_folder, workers

PATH = "/metrics"

_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip
_SEQUENCES = tuple(2**power for power in range(13))


class Metrics:
    """Counts what an app answers and what its models run.

    Args:
      engine: of the app.
      shared: folder of a service of several workers.
    """

    def __init__(self, engine: Engine, shared: Path | None = None) -> None:
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
        self._folder: str | None = None
        self._read_when_asked: list[Collector] = [
            _Facts(engine), PlatformCollector(registry=None)
        ]  # fmt: skip
        if shared is None:
            self._read_when_asked += [_Queues(engine), ProcessCollector(registry=None)]
        else:
            self._folder = str(metrics_folder(shared))
            self._read_when_asked.append(_Processes(shared))
            _tell_queues(engine)
        engine.observers.append(self.ran)

    def watch(self, collector: Collector) -> None:
        """Show something that is read whenever somebody asks; each worker would say the same."""
        self._read_when_asked.append(collector)

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
        def show() -> Response:  # in a thread, because it reads files
            return Response(self._text(), media_type=CONTENT_TYPE_LATEST)

        return router

    def _text(self) -> bytes:
        registry = CollectorRegistry()
        if self._folder is None:
            registry.register(self._registry)
        else:
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        for collector in self._read_when_asked:
            registry.register(collector)
        return generate_latest(registry)


class _Facts(Collector):
    """What is the same in every worker."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("varsigma_build", "Version", {"version": __version__})
        device = GaugeMetricFamily(
            "varsigma_device_info", "What ONNX Runtime uses", labels=("model", "provider")
        )
        for name, batcher in self._engine.batchers.items():
            device.add_metric((name, batcher.model.providers[0]), 1)
        yield device


_DEPTH = ("varsigma_queue_sequences", "Sequences that wait")
_DEPTH_LABELS = ("model", "lane")


class _Queues(Collector):
    """The queues of this process, at this moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(*_DEPTH, labels=_DEPTH_LABELS)
        for name, batcher in self._engine.batchers.items():
            for lane in Lane:
                depth.add_metric((name, lane.name.lower()), batcher.depth(lane))
        yield depth


def _tell_queues(engine: Engine) -> None:
    """Let all workers know of the queues of this one, and of itself: after each run of a model."""
    depth = Gauge(*_DEPTH, _DEPTH_LABELS, registry=None, multiprocess_mode="livesum")
    gauges = {
        name: [(lane, depth.labels(name, lane.name.lower())) for lane in Lane]
        for name in engine.batchers
    }

    def told(model: str, *_: object) -> None:
        for lane, gauge in gauges[model]:
            gauge.set(engine.batchers[model].depth(lane))

    for model in gauges:
        told(model)
    engine.observers.append(told)
    alive = Gauge(
        "varsigma_workers", "Processes that answer", registry=None, multiprocess_mode="livesum"
    )
    alive.set(1)


class _Processes(Collector):
    """What the system says of all workers together, under the usual names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        sums: dict[str, Metric] = {}
        for pid in workers(self._folder):
            for metric in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                if metric.name not in _NOT_SUMMED:
                    _add(sums.setdefault(metric.name, metric), metric)
        return sums.values()


_NOT_SUMMED = {"process_start_time_seconds", "process_max_fds"}


def _add(whole: Metric, part: Metric) -> None:
    """Add the one sample of a metric to that of another, if it is another."""
    if whole is not part:
        one, other = whole.samples[0], part.samples[0]
        whole.samples[0] = one._replace(value=one.value + other.value)
