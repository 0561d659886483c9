"""The loaded models and the one thread that runs them: `ScoreRequest -> JSON bytes`."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

from service.errors import (
    ModelNotFoundError,
    OverloadedError,
    RequestTooLargeError,
    ValidationError,
)
from service.reference import Reference
from service.registry import Model, Registry
from service.schemas import ScoreRequest, ScoreResponse, SequencePair, VariantBody
from service.scoring import Scorer
from service.settings import Settings


class Engine:
    """What the routes share. One worker thread owns inference, so the event loop never waits.

    Requests are scored one after the other, each by itself.

    Attributes:
      settings: as the service was started.
      models: served models by name, the default one first.
      reference: the genome, None where only sequence pairs can be scored.

    Raises:
      ServiceError: a model or the reference cannot be loaded; the service must not start.
    """

    def __init__(self, settings: Settings) -> None:
        """Load what the settings name."""
        self.settings = settings
        registry = Registry(settings.models)
        names = settings.model or tuple(registry.names())
        if not names:
            raise ModelNotFoundError(f"no models in {registry.models_dir}; give --models DIR")
        self.reference = (
            Reference.open(settings.reference, settings.assembly) if settings.reference else None
        )
        if self.reference is not None:
            _ = self.reference.sha256  # reads the whole file: now, not while a request waits
        self.models: dict[str, Model] = {
            name: registry.load(name, settings.device, settings.threads) for name in names
        }
        self._defaults = settings.scoring_options()
        for model in self.models.values():
            Scorer(model, self.reference, self._defaults)  # refuses shifts that leave its window
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._places = threading.Semaphore(settings.max_waiting)

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

    async def score(self, request: ScoreRequest) -> bytes:
        """Score all items of a request and return the JSON of a `ScoreResponse`.

        Raises:
          ModelNotFoundError: the model is not served.
          RequestTooLargeError: more items than the published limit.
          ValidationError: variants, but no reference; or a shift beyond the window.
          OverloadedError: too many requests are waiting.
        """
        model = self.model(request.model)
        limit = self.settings.max_items
        if len(request.items) > limit:
            raise RequestTooLargeError(
                f"{len(request.items)} items, at most {limit} are allowed in one request;"
                " split it, or score a file with `varsigma score`",
                detail={"limit": limit, "given": len(request.items)},
            )
        if request.variants is not None and self.reference is None:
            raise ValidationError(
                "this server has no reference: send 'sequences', or start it with --reference",
                detail={"field": "variants"},
            )
        scorer = Scorer(model, self.reference, request.options(self._defaults))
        waiting = self.settings.max_waiting
        if not self._places.acquire(blocking=False):
            raise OverloadedError(
                f"{waiting} requests are waiting; try again later", detail={"limit": waiting}
            )
        job = self._worker.submit(_score, scorer, request)
        # Not when the caller stops waiting: a job that has begun holds its place until it is done.
        job.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Finish what is waiting and end the thread."""
        self._worker.shutdown()


def _score(scorer: Scorer, request: ScoreRequest) -> bytes:
    items: list[VariantBody] | list[SequencePair]
    if request.variants is not None:
        items = request.variants
        scores = scorer.score([item.variant() for item in items])
    else:
        items = request.sequences or []
        scores = scorer.score_pairs([(item.ref, item.alt) for item in items])
    content = ScoreResponse.content(
        items, scores, targets=scorer.model.info.targets, provenance=scorer.provenance(scores)
    )
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
