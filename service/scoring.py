"""variants -> windows -> base codes -> mu, sigma -> effect distributions: the pipeline itself."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any, TypeVar

import numpy as np

from service import __version__
from service.effects import Effects, Floats, effect_distribution
from service.errors import Status, ValidationError
from service.reference import Reference
from service.registry import CONTRACT_VERSION, Model
from service.sequence import Codes
from service.session import CUDA, RUNTIME_VERSION
from service.variants import Variant
from service.windows import make_passes, pair_windows, variant_index, variant_windows

USE = "research use only"

# Windows of so many batches are in memory at once; the last batch of them may be short.
_BATCHES_PER_CHUNK = 16

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How variants are shown to a model and its answers summed up.

    Attributes:
      strands: 1 scores the plus strand, 2 both.
      shifts: positions of the variant relative to the middle of the window, in bases.
      coverage: probability inside the reported interval.
      batch_size: sequences in one run of the model, at most.
    """

    strands: int = 2
    shifts: tuple[int, ...] = (0,)
    coverage: float = 0.9
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be scored.

        Raises:
          ValidationError: an option is out of range.
        """
        make_passes(self.strands, self.shifts)
        if not 0 < self.coverage < 1:
            raise ValidationError(f"coverage must lie between 0 and 1, got {self.coverage}")
        if self.batch_size < 1:
            raise ValidationError(f"the batch size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True, slots=True)
class Scores:
    """One outcome for each of N inputs, in their order.

    Attributes:
      status: N statuses.
      effects: (N, T) distributions; NaN where the status is not OK.
      calibrated: T answers: whether measured variant effects set the widths of this target.
    """

    status: list[Status]
    effects: Effects
    calibrated: tuple[bool, ...]


class Scorer:
    """Scores variants, or pairs of sequences, with one model; threads may share it.

    Attributes:
      model: the model.
      reference: the genome, None where only pairs are scored.
      options: passes, coverage and batch size.
      calibrated: T answers: whether the model's calibration holds for variants scored with these
        options on this target. It was fitted on single-base changes of a genome: longer ones get
        the same widths, pairs of sequences are never calibrated.
    """

    def __init__(
        self,
        model: Model,
        reference: Reference | None = None,
        options: ScoringOptions | None = None,
    ) -> None:
        """Fit the passes to the model's window.

        Raises:
          ValidationError: a shift moves the variant out of the window.
        """
        self.model = model
        self.reference = reference
        self.options = options or ScoringOptions()
        self._passes = make_passes(self.options.strands, self.options.shifts)
        self._uncalibrated = (False,) * len(model.info.targets)
        self.calibrated = (
            self._uncalibrated
            if model.calibration is None or reference is None
            else model.calibration.applies_to(
                model.info.targets, self.options.strands, self.options.shifts
            )
        )
        for way in self._passes:
            variant_index(model.info.window, way)

    def score(self, variants: Sequence[Variant]) -> Scores:
        """Score variants on the reference.

        Raises:
          ValidationError: the scorer has no reference.
        """
        reference = self.reference
        if reference is None:
            raise ValidationError(
                "variants need a reference FASTA; without one, send ref/alt pairs"
            )
        width = self.model.info.window
        return self._score(
            variants,
            lambda variant: variant_windows(reference, variant, width, self._passes),
            self.calibrated,
        )

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (ref, alt) sequences of at most W bases, each placed in the middle of a window."""
        width = self.model.info.window
        return self._score(
            pairs, lambda pair: pair_windows(*pair, width, self._passes), self._uncalibrated
        )

    def provenance(self, scores: Scores | None = None) -> dict[str, Any]:
        """Return what is needed to get scores again, as JSON types; by default, of variants."""
        info = self.model.info
        calibrated = self.calibrated if scores is None else scores.calibrated
        on_cuda = self.model.providers[0] == CUDA
        return {
            "varsigma_version": __version__,
            "model": info.name,
            "model_sha256": info.model_sha256,
            "contract_version": CONTRACT_VERSION,
            "recipe": info.recipe,
            "fingerprint": info.fingerprint,
            "data_digest": info.data_digest,
            "targets": list(info.targets),
            "members": info.members,
            "units": info.units,
            "onnxruntime": RUNTIME_VERSION,
            "providers": list(self.model.providers),
            "threads": self.model.threads,
            "precision": "float32, TF32 off" if on_cuda else "float32",
            "assembly": self.reference.assembly if self.reference else None,
            "reference": self.reference.name if self.reference else None,
            "options": asdict(self.options) | {"shifts": list(self.options.shifts)},
            "calibrated": any(calibrated),
            "calibrated_targets": list(compress(info.targets, calibrated)),
            "use": USE,
        }

    def _score(
        self,
        items: Sequence[_Item],
        windows_of: Callable[[_Item], Codes | Status],
        calibrated: tuple[bool, ...],
    ) -> Scores:
        calibration = self.model.calibration
        scales = calibration.scales(calibrated) if calibration else None
        status: list[Status] = []
        effects = Effects.missing(len(items), len(self.model.info.targets))
        sequences_each = 2 * len(self._passes)
        chunk = max(_BATCHES_PER_CHUNK * self.options.batch_size // sequences_each, 1)
        for first in range(0, len(items), chunk):
            cut = [windows_of(item) for item in items[first : first + chunk]]
            status += [item if isinstance(item, Status) else Status.OK for item in cut]
            rows = [row for row, item in enumerate(cut, first) if not isinstance(item, Status)]
            if rows:
                windows = np.stack([item for item in cut if not isinstance(item, Status)])
                mu, sigma = self._predict(windows)
                usable = (np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0)).all((1, 2, 3, 4))
                for row in np.flatnonzero(~usable):
                    status[rows[row]] = Status.MODEL_NAN
                part = effect_distribution(mu[usable], sigma[usable], self.options.coverage, scales)
                effects.put(np.asarray(rows)[usable], part)
        return Scores(status, effects, calibrated)

    def _predict(self, windows: Codes) -> tuple[Floats, Floats]:
        """(N, P, 2, W) windows -> mu and sigma (N, P, 2, M, T).

        Each different sequence runs once: the ALTs of one site share their REF, and an ALT equal
        to its REF gets an effect of exactly zero.
        """
        rows = windows.reshape(-1, windows.shape[-1])
        first_seen: dict[bytes, int] = {}
        index = [first_seen.setdefault(row.tobytes(), len(first_seen)) for row in rows]
        sequences = np.frombuffer(b"".join(first_seen), np.uint8).reshape(-1, rows.shape[1])
        size = self.options.batch_size
        outputs = [
            self.model.run(sequences[first : first + size])
            for first in range(0, len(sequences), size)
        ]
        mu, sigma = (np.concatenate(parts)[index] for parts in zip(*outputs, strict=True))
        shape = (*windows.shape[:-1], *mu.shape[1:])
        return mu.reshape(shape), sigma.reshape(shape)
