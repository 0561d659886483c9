"""The loaded models, each behind its batcher, and the threads that prepare their work.

Nothing here holds the event loop: windows are cut and answers are written in a small pool of
threads, and each model runs in the thread of its batcher.
"""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, TypeVarTuple

from service.answers import score_head
from service.batcher import Batcher, Lane, Observer
from service.errors import ModelNotFoundError, OverloadedError, ValidationError
from service.evidence import Evidence
from service.gathering import Gatherer
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Predictions, Scorer, ScoringOptions
from service.sequence import Codes
from service.session import CUDA, usable_cores
from service.settings import Settings

# Sizes that CUDA prepares for, the largest of them its batch.
CUDA_BUCKETS = (1, 8, 32, 128, 256)
# The cost on a CPU is proportional to the size, and a small batch is soon over; where many wait, a
# larger one leaves more of the cores to the model (`python -m tests.load_http`).
CPU_BATCH, CPU_DEEP_BATCH = 16, 64

_POOL_THREADS = 2
_SETUPS_HELD = 64
# Small calls that one trip to the pool takes along.
_MOST_GATHERED = 32

_T = TypeVar("_T")
_In = TypeVar("_In")
_Arguments = TypeVarTuple("_Arguments")


@dataclass(frozen=True)
class Setup:
    """A model with the options of a request.

    Attributes:
      scorer: cuts and combines.
      batcher: runs the model.
      variants_provenance: what makes the scores of variants.
      pairs_provenance: the same for sequences without a genome, which are never calibrated.
      variants_head: JSON of what stands beside the results of variants.
      pairs_head: the same for pairs of sequences.
    """

    scorer: Scorer
    batcher: Batcher
    variants_provenance: Mapping[str, Any]
    pairs_provenance: Mapping[str, Any]
    variants_head: bytes
    pairs_head: bytes

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the model's targets."""
        return self.scorer.model.info.targets


def threads_of(settings: Settings) -> int:
    """Return how many threads run a model on the CPU: the cores, shared by the workers."""
    return settings.threads or max(usable_cores() // (settings.workers or 1), 1)


class Engine:
    """What the routes share.

    Attributes:
      settings: as the service was started.
      models: served models by name, the default one first.
      batchers: what runs each of them.
      reference: the genome, None where only sequences can be scored.
      evidence: measured effects that stand beside the rows of a triage; None without a table.
      defaults: scoring options of a request that names none.
      observers: told after every run of a model, in the thread that ran it.
      is_draining: the service is shutting down and should get no more requests.

    Raises:
      ServiceError: a model or the reference cannot be loaded; the service must not start.
    """

    def __init__(self, settings: Settings, *, gpu: int = 0) -> None:
        """Load what the settings name, and warm it up.

        Args:
          settings: how to serve.
          gpu: 0-based number of the GPU to use, where one is used.
        """
        self.settings = settings
        registry = Registry(settings.models)
        names = settings.model or tuple(registry.names())
        if not names:
            raise ModelNotFoundError(
                f"no models in {registry.models_dir}; give --models DIR, the folder that"
                " holds their folders"
            )
        self.reference = (
            Reference.open(settings.reference, settings.assembly) if settings.reference else None
        )
        if self.reference is not None:
            _ = self.reference.sha256  # reads the whole file: now, not while a request waits
        self.evidence = (
            Evidence.open(settings.evidence, self.reference) if settings.evidence else None
        )
        self.models: dict[str, Model] = {
            # One thread inside an operator: see `Batcher`.
            name: registry.load(name, settings.device, threads=1, gpu=gpu)
            for name in names
        }
        self.defaults = settings.scoring_options()
        for model in self.models.values():
            Scorer(model, self.reference, self.defaults)  # refuses shifts that leave its window
        self.observers: list[Observer] = []
        self.is_draining = False
        self.batchers = {name: self._batcher(model) for name, model in self.models.items()}
        self._pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="windows")
        self._gatherers: dict[object, Gatherer[Any, Any]] = {}
        self._n_long = 0
        self._setup = functools.lru_cache(maxsize=_SETUPS_HELD)(self._make_setup)

    @property
    def state(self) -> Literal["ready", "draining", "failing"]:
        """Whether requests should come; failing: a model's last run did, or left its device."""
        if self.is_draining:
            return "draining"
        wants_cuda = self.settings.device == "cuda"
        is_sound = all(
            not batcher.is_failing and (not wants_cuda or batcher.model.providers[0] == CUDA)
            for batcher in self.batchers.values()
        )
        return "ready" if is_sound else "failing"

    def model(self, name: str | None) -> Model:
        """Return a served model, the default one for None.

        Raises:
          ModelNotFoundError: no model of that name is served.
        """
        served = list(self.models)
        if name is None:
            return self.models[served[0]]
        if name not in self.models:
            raise ModelNotFoundError(
                f"no model {name!r}; served are: {', '.join(served)}", detail={"available": served}
            )
        return self.models[name]

    def setup(self, model: str | None, options: ScoringOptions) -> Setup:
        """Return a served model with options; those in use are kept.

        Raises:
          ModelNotFoundError: no model of that name is served.
          ValidationError: a shift leaves the model's window.
        """
        return self._setup(self.model(model).info.name, options)

    def genome(self, field: str) -> Reference:
        """Return the reference, which a field of the request needs.

        Raises:
          ValidationError: the service has none.
        """
        if self.reference is None:
            raise ValidationError(
                "this server has no reference"
                + (": send 'sequences' instead" if field == "variants" else "")
                + "; whoever runs it can start it with --reference",
                detail={"field": field},
            )
        return self.reference

    async def offload(self, work: Callable[[*_Arguments], _T], *arguments: *_Arguments) -> _T:
        """Run something that takes its time in the pool of threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    async def gather(
        self, work: Callable[[Sequence[_In]], Sequence[_T | Exception]], one: _In
    ) -> _T:
        """Do the same together with other small calls: see `Gatherer`."""
        gatherer: Gatherer[_In, _T] | None = self._gatherers.get(work)
        if gatherer is None:
            gatherer = self._gatherers[work] = Gatherer(self._pool, work, _MOST_GATHERED)
        return await gatherer(one)

    async def predict(
        self, model: str | None, sequences: Codes, *, deadline: float | None = None
    ) -> Predictions:
        """Run a model on a few sequences: the interactive lane.

        Args:
          model: a served one, None for the default.
          sequences: (S, W) codes.
          deadline: on the monotonic clock, None for none.

        Raises:
          ModelNotFoundError: the model is not served.
          OverloadedError: too much is waiting.
          DeadlineError: they cannot run, or did not, before the deadline.
        """
        batcher = self.batchers[self.model(model).info.name]
        with batcher.admitted(len(sequences), deadline):
            return await batcher.predict(sequences, deadline=deadline)

    async def predict_long(
        self, model: str | None, sequences: Codes, *, deadline: float | None = None
    ) -> Predictions:
        """Run a model on any number of sequences: the batch lane.

        Raises:
          ModelNotFoundError: the model is not served.
          OverloadedError: too many long calls are in progress.
          DeadlineError: they did not run before the deadline.
        """
        batcher = self.batchers[self.model(model).info.name]
        with self.long_place():
            return await batcher.predict(sequences, lane=Lane.BATCH, deadline=deadline)

    @contextmanager
    def long_place(self) -> Iterator[None]:
        """Hold one of the places for long calls, which keep the batch lane short.

        Raises:
          OverloadedError: none is free.
        """
        limit = self.settings.max_long
        if self._n_long >= limit:
            waiting = sum(batcher.depth(Lane.BATCH) for batcher in self.batchers.values())
            rate = min(batcher.rate for batcher in self.batchers.values())
            seconds = max(1, round(waiting / rate / limit))
            raise OverloadedError(
                f"{limit} long calls are in progress; try again in {seconds} s",
                detail={"limit": limit},
                retry_after=seconds,
            )
        self._n_long += 1
        try:
            yield
        finally:
            self._n_long -= 1

    def close(self) -> None:
        """Finish what is waiting and end the threads."""
        self.is_draining = True
        for batcher in self.batchers.values():
            batcher.close()
        self._pool.shutdown()

    def _batcher(self, model: Model) -> Batcher:
        on_cuda = model.providers[0] == CUDA
        return Batcher(
            model,
            batch_size=self.settings.micro_batch or (CUDA_BUCKETS[-1] if on_cuda else CPU_BATCH),
            deep_batch_size=None if on_cuda or self.settings.micro_batch else CPU_DEEP_BATCH,
            max_waiting=self.settings.max_waiting_sequences,
            workers=1 if on_cuda else threads_of(self.settings),
            buckets=CUDA_BUCKETS if on_cuda else None,
            observers=self.observers,
        )

    def _make_setup(self, model: str, options: ScoringOptions) -> Setup:
        # Requests share the runs of the batcher, whatever is set for files and jobs.
        options = replace(options, batch_size=self.batchers[model].deep_batch_size)
        scorer = Scorer(self.models[model], self.reference, options)
        targets = scorer.model.info.targets
        provenance = scorer.provenance()
        uncalibrated = provenance | {"calibrated": False, "calibrated_targets": []}
        return Setup(
            scorer,
            self.batchers[model],
            provenance,
            uncalibrated,
            score_head(provenance, targets, scorer.calibrated),
            score_head(uncalibrated, targets, (False,) * len(targets)),
        )
