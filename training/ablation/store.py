"""Members -> what they predict: through the exported graph and the service's own scorer.

No measured effect is read here, and of the challenge set only what names a variant.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import USE, Predictions, Scorer, ScoringOptions
from service.variants import Variant
from training.ablation.entries import SETS, SPLITS, VERSION, Entry
from training.campaign.data import held_out_rows
from training.datasets.cagi5 import reference_path, variants_of
from training.datasets.table import require_digest
from training.evaluation.challenge import cagi5_variants, code_version
from training.evaluation.held_out import predict_inserts

PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "onnxruntime-gpu")
_CHUNK = 2048
"""Variants in memory at once."""


def assay_rows(table: pd.DataFrame, assay: str, split: str) -> pd.DataFrame:
    """Rows of an assay in a held-out fold that have an activity, in table order."""
    rows = held_out_rows(table, split)
    return rows[(rows["assay"] == assay) & rows["activity"].notna()]


def predict_entry(
    name: str,
    *,
    model_name: str,
    models_dir: Path,
    table: pd.DataFrame,
    data_dir: Path,
    options: ScoringOptions | None = None,
    threads: int | None = 1,
) -> Entry:
    """Predict what an entry keeps with an exported model.

    Args:
      name: of the entry.
      model_name: of a model in `models_dir`.
      models_dir: folder of model folders.
      table: assay table that the model learnt from.
      data_dir: folder that holds cagi5/.
      options: passes over the variants; inserts are always seen on both strands, never shifted.
      threads: of one operator, None for one per core.

    Raises:
      DataError: the model learnt from another table, or a file is missing or altered.
    """
    registry = Registry(models_dir)
    card = registry.card(model_name)
    require_digest(table, {model_name: card["data_digest"]})
    model = registry.load(model_name, "cpu", threads, with_entries=False)
    assay_of = {target["name"]: target["assay"] for target in card["targets"]}
    chosen = options or ScoringOptions()
    variants = {split: cagi5_variants(data_dir, split) for split in SETS}
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(model, reference, chosen)
        effects: dict[str, NDArray[np.float64]] = {
            split: member_effects(scorer, variants_of(rows))
            for split, (rows, _) in variants.items()
        }
    digests: dict[str, str] = {split: digest for split, (_, digest) in variants.items()}
    return Entry(
        name=name,
        provenance=_provenance(model, card, chosen, digests),
        inserts=_inserts(model, assay_of, table),
        effects=effects,
    )


def member_effects(scorer: Scorer, variants: Sequence[Variant]) -> NDArray[np.float64]:
    """Effects (M, n, T) that the scorer would give were each member the only one; NaN unscored.

    Their mean over members is the effect that it gives for all of them.
    """
    parts = []
    for first in range(0, len(variants), _CHUNK):
        windows = scorer.cut(variants[first : first + _CHUNK])
        said = scorer.predict(windows)
        alone = []
        for member in range(scorer.model.info.members):
            one = slice(member, member + 1)
            scores = scorer.combine(windows, Predictions(said.mu[:, one], said.sigma[:, one]))
            alone.append(scores.effects.effect)
        parts.append(np.stack(alone))
    return np.concatenate(parts, axis=1)


def _inserts(
    model: Model, assay_of: dict[str, str], table: pd.DataFrame
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Activities of the held-out rows of each target; a sequence of several assays once."""
    rows = {
        (split, target): assay_rows(table, assay, split)["sequence"].tolist()
        for split in SPLITS
        for target, assay in assay_of.items()
    }
    sequences = list(dict.fromkeys(one for some in rows.values() for one in some))
    at = {sequence: row for row, sequence in enumerate(sequences)}
    predicted = predict_inserts(model, sequences)
    return {
        (split, target): predicted[[at[one] for one in some], :, model.info.targets.index(target)].T
        for (split, target), some in rows.items()
    }


def _provenance(
    model: Model, card: dict[str, Any], options: ScoringOptions, digests: dict[str, str]
) -> dict[str, Any]:
    info = model.info
    alike = [
        {"recipe": info.recipe, "fingerprint": info.fingerprint, "seed": seed}
        for seed in card["seeds"]
    ]
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # of the two builds of ONNX Runtime one is there
    return {
        "version": VERSION,
        "model": info.name,
        "model_sha256": info.model_sha256,
        "recipe": info.recipe,
        "fingerprint": info.fingerprint,
        "data_digest": info.data_digest,
        "seeds": card["seeds"],
        "origins": card.get("ensemble") or alike,
        "targets": list(info.targets),
        "assays": [target["assay"] for target in card["targets"]],
        "strands": options.strands,
        "shifts": list(options.shifts),
        **({"offsets": card["offsets"]} if card.get("offsets") else {}),
        "sha256": digests,
        "code": code_version(),
        "versions": versions,
        "use": USE,
    }
