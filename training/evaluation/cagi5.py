"""Validation on CAGI5 through the service's own scorer: models -> agreement -> reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pandas as pd

from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.session import Device
from training.datasets.cagi5 import reference_path, write_construct_reference
from training.evaluation.agreement import Agreement, Said, compare
from training.evaluation.cagi5_tables import layout
from training.evaluation.calibrate import OCCLUDED, evidence_of
from training.evaluation.challenge import CHALLENGE_LOG, Run, load_challenge, load_release
from training.evaluation.predictions import predict
from training.evaluation.report import Report
from training.evaluation.shape import fit_without_each

Split = Literal["challenge", "release"]


def validate(
    model_names: Sequence[str],
    *,
    models_dir: Path,
    data_dir: Path,
    split: Split = "challenge",
    baseline: str | None = None,
    device: Device = "cpu",
    threads: int | None = None,
    strands: Literal[1, 2] = 2,
    draws: int = 1000,
    seed: int = 0,
    log: Path = CHALLENGE_LOG,
) -> dict[str, Report]:
    """Score a CAGI5 set with each model in both windows and compare with the measured effects.

    `expected` is of distributions fitted to the release set in the genomic window, for each locus
    without that locus.

    Args:
      model_names: models of `models_dir`.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      split: the reported set, or the one for choices and calibration.
      baseline: one of the models; the others' reports get the paired difference to it.
      device: where the models run.
      threads: of one operator on the CPU, None for one per core.
      strands: orientations averaged.
      draws: bootstrap resamples of positions.
      seed: of the resamples; the same for all models, which pairs them.
      log: file that each look at the challenge labels is appended to, two lines per model.

    Returns:
      {model: report}, in the order given.

    Raises:
      ValueError: the baseline is not among the models, an element is missing, or a model lacks a
        target.
      DataError: a file is missing or altered.
    """
    if baseline is not None and baseline not in model_names:
        raise ValueError(f"baseline {baseline!r} is not among the models {list(model_names)}")
    registry = Registry(models_dir)
    found: dict[str, dict[tuple[str, Said], Agreement]] = {}
    options = ScoringOptions(strands=strands)
    for name in model_names:
        model = registry.load(name, device, threads, with_entries=False)
        targets, released = model.info.targets, load_release(data_dir)
        with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
            said = predict(
                Scorer(model, reference, options, n_occluded=OCCLUDED), targets, released
            )
        shapes = fit_without_each(evidence_of(said, released, data_dir))
        run = Run(
            model=name,
            model_sha256=str(registry.card(name)["model_sha256"]),
            purpose=f"validate: strands {strands}, {OCCLUDED} bases hidden, draws {draws}, "
            f"seed {seed}",
        )
        with labels_of(split, data_dir, run, log) as table, TemporaryDirectory() as folder:
            references = {
                "genomic": reference_path(data_dir),
                "construct-aware": write_construct_reference(data_dir, Path(folder)),
            }
            found[name] = {}
            for window, path in references.items():
                with Reference.open(path, assembly="GRCh37") as reference:
                    agreements = compare(
                        Scorer(model, reference, options, n_occluded=OCCLUDED),
                        targets,
                        table,
                        draws=draws,
                        seed=seed,
                        shapes=shapes,
                    )
                for kind, agreement in agreements.items():
                    found[name][window, kind] = agreement
                    where = window if kind == "effect" else f"{window}, {kind}"
                    run.means |= {f"{where}, {key}": v for key, v in agreement.means().items()}
    return {
        name: layout(
            name,
            agreements,
            split=split,
            strands=strands,
            draws=draws,
            baseline=None if name == baseline else baseline,
            baselines=found[baseline] if baseline is not None else None,
        )
        for name, agreements in found.items()
    }


def labels_of(
    split: Split, data_dir: Path, run: Run, log: Path
) -> AbstractContextManager[pd.DataFrame]:
    """The labels of a set; a look at the challenge is logged, the release set is free to read."""
    if split == "challenge":
        return load_challenge(data_dir, run, log=log)
    return nullcontext(load_release(data_dir))
