"""variants -> windows -> base codes -> mu, sigma -> effect distributions: the pipeline itself."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import compress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service import __version__
from service.cutting import NOT_NORMALISED, Windows, cut_pairs, cut_variants
from service.effects import ALT, HIDDEN, REF, Doubles, Effects, Floats, effect_distribution
from service.errors import Status, ValidationError
from service.mixture import Mixture
from service.novelty import NAMES, ORDINARY
from service.reference import Reference
from service.registry import CONTRACT_VERSION, Model
from service.session import CUDA, RUNTIME_VERSION
from service.variants import Variant, is_single
from service.windows import Anchoring, make_passes, variant_index

USE = "research use only"

# What is in memory at once when a long list is scored in one call.
_ITEMS_PER_CHUNK = 2048

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How variants are shown to a model and its answers summed up.

    Attributes:
      strands: 1 scores the plus strand, 2 both.
      shifts: positions of the variant relative to the middle of the window, in bases.
      anchorings: what the windows share where a change alters the length; each adds a look, and
        their spread is part of `representation`. Why two: `training/evaluation/deletions.py`.
      coverage: probability inside the reported interval.
      batch_size: sequences in one run of the model, at most.
    """

    strands: int = 2
    shifts: tuple[int, ...] = (0,)
    anchorings: tuple[Anchoring, ...] = (Anchoring.LEFT, Anchoring.RIGHT)
    coverage: float = 0.9
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be scored.

        Raises:
          ValidationError: an option is out of range.
        """
        make_passes(self.strands, self.shifts)
        if not self.anchorings or len(set(self.anchorings)) != len(self.anchorings):
            raise ValidationError(
                f"anchorings must be different ones of {', '.join(Anchoring)}, got"
                f" {self.anchorings}"
            )
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
      calibrated: T answers: whether measured effects of single-base changes set the widths of this
        target; of each input, `is_calibrated`.
      normalised: N normal forms `pos:ref:alt`, pos 1-based, left-aligned and parsimonious; `.`
        where the status is not OK, and for pairs.
      novelty: (N,) share of training inserts at least as unusual as the windows, in (0, 1]; NaN
        where the status is not OK, and for a model whose card does not tell.
      novel_as: (N,) name of the `Aspect` in which they are, `.` where they are not.
    """

    status: list[Status]
    effects: Effects
    calibrated: tuple[bool, ...]
    normalised: list[str]
    novelty: Doubles
    novel_as: NDArray[np.str_]

    def on(self, places: Sequence[int]) -> "Scores":
        """Return the same of some of the targets, by their places among the T."""
        chosen = list(places)
        effects = (getattr(self.effects, field.name)[:, chosen] for field in fields(Effects))
        calibrated = tuple(self.calibrated[place] for place in chosen)
        return replace(self, effects=Effects(*effects), calibrated=calibrated)

    @property
    def is_calibrated(self) -> NDArray[np.bool_]:
        """(N, T) whether measured effects of changes of this kind stand behind the widths.

        The calibration was fitted on single-base changes: indels and changes of several bases have
        the numbers that it gives, unchecked, and are not calibrated.
        """
        if not any(self.calibrated):
            return np.zeros((len(self.status), len(self.calibrated)), bool)
        single = np.fromiter(map(is_single, self.normalised), bool, len(self.normalised))
        holds: NDArray[np.bool_] = single[:, None] & np.array(self.calibrated, bool)
        return holds

    @classmethod
    def joined(cls, parts: Sequence["Scores"]) -> "Scores":
        """Return the scores of parts, at least one, as those of the list that they make up."""
        if len(parts) == 1:
            return parts[0]
        effects = (
            np.concatenate([getattr(part.effects, field.name) for part in parts])
            for field in fields(Effects)
        )
        return cls(
            [status for part in parts for status in part.status],
            Effects(*effects),
            parts[0].calibrated,
            [form for part in parts for form in part.normalised],
            np.concatenate([part.novelty for part in parts]),
            np.concatenate([part.novel_as for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the model says of S sequences: mu and sigma, each (S, M, T), log2(RNA/DNA)."""

    mu: Floats
    sigma: Floats


class Scorer:
    """Scores variants, or pairs of sequences, with one model; threads may share it.

    Attributes:
      model: the model.
      reference: the genome, None where only pairs are scored.
      options: passes, coverage and batch size.
      calibrated: T answers: whether the model's calibration holds for variants scored with these
        options on this target. It was fitted on single-base changes of a genome: widths of longer
        ones are computed alike, unchecked, and flagged (`Scores.is_calibrated`); pairs of sequences
        are never calibrated.
      n_occluded: bases around a single-base change that are hidden in a window of their own,
        because the calibration reads what that does; 0 where it does not, or holds for no target.
        Not for longer changes: where bases are gone, the effect has what hiding them does.
      is_ranked: whether effects of variants get their quantile among random ones: the model's
        background was scored with the passes of these options. Pairs never do: they may be short
        and lie between N, or differ in everything.
    """

    def __init__(
        self,
        model: Model,
        reference: Reference | None = None,
        options: ScoringOptions | None = None,
        *,
        n_occluded: int | None = None,
    ) -> None:
        """Fit the passes to the model's window.

        Args:
          model: the model.
          reference: the genome, None to score pairs alone.
          options: passes, coverage and batch size.
          n_occluded: bases to hide whatever the calibration reads, which does not hold if it reads
            others; what fits a calibration needs it.

        Raises:
          ValidationError: a shift moves the variant out of the window, or the variant cannot be in
            the middle of so many hidden bases.
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
        self.n_occluded = n_occluded or 0
        if model.calibration is not None and any(self.calibrated):
            if n_occluded is None:
                self.n_occluded = model.calibration.n_occluded
            elif n_occluded != model.calibration.n_occluded:
                self.calibrated = self._uncalibrated
        if self.n_occluded and not (
            0 < self.n_occluded < model.info.window and self.n_occluded % 2
        ):
            raise ValidationError(
                "hide an odd number of bases, the variant in their middle and fewer than the"
                f" {model.info.window} of a window, not {self.n_occluded}"
            )
        self.is_ranked = (
            model.background is not None
            and reference is not None
            and model.background.applies_to(self.options.strands, self.options.shifts)
        )
        for way in self._passes:
            variant_index(model.info.window, way)

    @property
    def n_windows(self) -> int:
        """Windows of a variant in each way of showing it, at most."""
        return HIDDEN + 1 if self.n_occluded else HIDDEN

    def score(self, variants: Sequence[Variant]) -> Scores:
        """Score variants on the reference.

        Raises:
          ValidationError: the scorer has no reference.
        """
        return self._score(variants, self.cut)

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (ref, alt) sequences of at most W bases, each placed in the middle of a window."""
        return self._score(pairs, self.cut_pairs, has_place=False)

    def cut(self, variants: Sequence[Variant]) -> Windows:
        """Check variants and cut their windows: the first of the three stages of `score`.

        Raises:
          ValidationError: the scorer has no reference.
        """
        if self.reference is None:
            raise ValidationError(
                "variants need a reference FASTA; without one, send ref/alt pairs"
            )
        return cut_variants(
            self.reference,
            variants,
            self.model.info.window,
            self._passes,
            self.options.anchorings,
            n_occluded=self.n_occluded,
        )

    def cut_pairs(self, pairs: Sequence[tuple[str, str]]) -> Windows:
        """Check pairs and cut their windows: the first stage of `score_pairs`."""
        return cut_pairs(pairs, self.model.info.window, self._passes)

    def predict(self, windows: Windows) -> Predictions:
        """Run the model on the sequences, in batches of the options' size: the second stage."""
        sequences, size = windows.sequences, self.options.batch_size
        if not len(sequences):
            info = self.model.info
            none = np.empty((0, info.members, len(info.targets)), np.float32)
            return Predictions(none, none)
        outputs = [
            self.model.run(sequences[first : first + size])
            for first in range(0, len(sequences), size)
        ]
        mu, sigma = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        return Predictions(mu, sigma)

    def combine(
        self, windows: Windows, predictions: Predictions, *, has_place: bool = True
    ) -> Scores:
        """Make one distribution per variant and target of the predictions: the last stage.

        Args:
          windows: of N variants or pairs.
          predictions: for their sequences.
          has_place: whether they are variants on the reference, which a calibration and a
            background may hold for.
        """
        calibrated = self.calibrated if has_place else self._uncalibrated
        calibration = self.model.calibration
        targets = self.model.info.targets
        applied = calibration.applied(targets, calibrated) if calibration else None
        status, forms = windows.status.copy(), windows.normalised.copy()
        effects = Effects.missing(len(status), len(targets))
        novelty = np.full(len(status), np.nan)
        novel_as = np.full(len(status), ORDINARY, NAMES.dtype)
        # Of the alleles: what is hidden is no sequence that anybody has.
        is_allele = np.zeros(len(windows.sequences), bool)
        for group in windows.groups:
            is_allele[group.index[:, :, :HIDDEN]] = True
        place = np.cumsum(is_allele) - 1
        familiar = self.model.novelty
        each = familiar.score(windows.sequences[is_allele]) if familiar else None
        mu, sigma = predictions.mu, predictions.sigma
        is_sound = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0)
        sound: NDArray[np.bool_] = np.all(is_sound, axis=(1, 2))
        for group in windows.groups:
            usable = sound[group.index].all((1, 2))
            for row in group.rows[~usable].tolist():
                status[row], forms[row] = Status.MODEL_NAN, NOT_NORMALISED
            index = group.index[usable]
            # Equal sequences are scored once, under one index.
            unchanged = (index[:, :, REF] == index[:, :, ALT]).all(axis=1)
            part = effect_distribution(
                mu[index], sigma[index], self.options.coverage, applied, unchanged
            )
            rows = group.rows[usable]
            effects.put(rows, part)
            if each is not None:
                alleles = place[index[:, :, :HIDDEN]].reshape(len(rows), len(self._passes), -1)
                found = each.of_variants(alleles)
                novelty[rows], novel_as[rows] = found.p, found.novel_as()
        if self.model.background and self.is_ranked and has_place:
            effects.quantile[:] = self.model.background.ranks(effects.effect, targets).quantile
        return Scores(status, effects, calibrated, forms, novelty, novel_as)

    def true_effects(self, scores: Scores) -> Mixture:
        """Distributions of the true effects (N, T), log2 units, of which `scores` has the numbers.

        Made anew of the scores, because hardly anybody asks for more than the numbers.

        Args:
          scores: of this scorer.

        Returns:
          What the calibration says of the targets that it holds for; NaN elsewhere.
        """
        effect = np.where(scores.calibrated, scores.effects.effect, np.nan)
        if self.model.calibration is None:
            return Mixture.normal(effect, effect)
        effects = scores.effects
        return self.model.calibration.shape.distribution(
            effect, effects.epistemic, effects.occlusion
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
            "card_sha256": dict(self.model.entry_digests),
            "targets": list(info.targets),
            "members": info.members,
            "units": info.units,
            "onnxruntime": RUNTIME_VERSION,
            "providers": list(self.model.providers),
            "threads": self.model.threads,
            "precision": "float32, TF32 off" if on_cuda else "float32",
            "assembly": self.reference.assembly if self.reference else None,
            "reference": self.reference.name if self.reference else None,
            "reference_sha256": self.reference.sha256 if self.reference else None,
            "options": asdict(self.options)
            | {
                "shifts": list(self.options.shifts),
                "anchorings": [anchoring.value for anchoring in self.options.anchorings],
            },
            "calibrated": any(calibrated),
            "calibrated_targets": list(compress(info.targets, calibrated)),
            "use": USE,
        }

    def _score(
        self,
        items: Sequence[_Item],
        cut: Callable[[Sequence[_Item]], Windows],
        *,
        has_place: bool = True,
    ) -> Scores:
        """All three stages, a part of the items at a time."""
        parts: list[Scores] = []
        for first in range(0, len(items) or 1, _ITEMS_PER_CHUNK):
            windows = cut(items[first : first + _ITEMS_PER_CHUNK])
            parts.append(self.combine(windows, self.predict(windows), has_place=has_place))
        return Scores.joined(parts)
