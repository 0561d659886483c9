"""Members -> a model folder: graph, card and members, as the registry serves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.registry import CONTRACT_VERSION, UNITS
from training.assays import INSERT, JOINT_LIBRARY, Assay, window_codes
from training.batches import assays_of
from training.card import LIMITS, Card, TargetCard, TrainingTable, write_card
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.sources import DataError
from training.datasets.table import table_digest
from training.evaluation.sigma import AssayPredictor
from training.export import export_model, model_members, served_assays
from training.members import Member, load_member, predict_constructs
from training.zoo import ZOO


def make_model(
    member_files: Sequence[Path],
    *,
    name: str,
    models_dir: Path,
    table: pd.DataFrame,
    files: Sequence[Mapping[str, Any]],
) -> Path:
    """Export members and write the card that says what they are.

    Args:
      member_files: `member.safetensors` of each seed, of one recipe and one table.
      name: of the model and its folder.
      models_dir: folder of model folders.
      table: the assay table the members learned from.
      files: provenance of the table's source files, as `varsigma-train data` wrote it.

    Returns:
      The model folder. Metrics of an earlier export are gone: they were another graph's.

    Raises:
      DataError: the members were trained on another table.
      MemberError: the files do not belong together.
      ExportError: the graph disagrees with torch.
    """
    digest = table_digest(table)
    if others := [file for file in member_files if load_member(file).data_digest != digest]:
        raise DataError(
            f"{others[0]} was trained on another table than this one ({digest[:12]}): rebuild "
            "that table or train again"
        )
    folder = models_dir / name
    members = export_model(member_files, folder, name)
    first, served = members[0], served_assays(members)
    card = Card(
        name=name,
        summary=_summary(first, len(members)),
        contract_version=CONTRACT_VERSION,
        model_sha256=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        window=INSERT,
        members=len(members),
        seeds=tuple(member.seed for member in members),
        recipe=first.recipe,
        fingerprint=first.fingerprint,
        data_digest=first.data_digest,
        units=UNITS,
        targets=tuple(
            TargetCard(
                name=str(assay.served),
                cell_type=assay.cell_type,
                assay=assay.name,
                sigma_source=sigma_source(assay, first, table),
            )
            for assay in served
        ),
        limits=limits_of(served),
        training_data=_training_tables(table, files),
    )
    write_card(folder, card)
    return folder


def limits_of(served: Sequence[Assay]) -> tuple[str, ...]:
    """What a card says that a model cannot do, by the assays that it serves."""
    if {assay.name for assay in served} <= {*JOINT_LIBRARY}:
        return LIMITS
    targets = ", ".join(str(assay.served) for assay in served)
    return (
        "Research use only; an effect on reporter activity is neither benign nor pathogenic.",
        f"Sees a window of {INSERT} bp inside the construct of its assay: no distal elements, no "
        "chromatin, no genomic position.",
        f"Served targets are {targets}; other cell types and assays are extrapolation.",
        "sigma is the SD of one measurement in the assay that its target names, not of a patient's "
        "tissue.",
    )


def sigma_source(assay: Assay, member: Member, table: pd.DataFrame) -> str:
    """Say in words where the sigma of a served assay got its gradient from."""
    if member.teacher:
        return f"its member of {member.teacher.recipe}, {_variance_head(assay, table)}"
    if not ZOO[member.recipe].architecture.predicts_variance:
        return f"one constant: SD of the residuals of {assay.name} on the validation fold"
    return _variance_head(assay, table)


def _variance_head(assay: Assay, table: pd.DataFrame) -> str:
    replicated = set(table.loc[table["noise_sd"].notna(), "assay"])
    sharing = [
        other.name
        for other in assays_of(table)
        if other.cell_type == assay.cell_type and other.name in replicated
    ]
    parts = [f"replicate variance of {', '.join(sharing)}"] if sharing else []
    if assay.name not in replicated:
        parts.append(f"likelihood of the residuals of {assay.name} (label noise and model error)")
    return f"variance head of {assay.cell_type}: {'; '.join(parts)}"


def _summary(member: Member, n: int) -> str:
    recipe = ZOO[member.recipe]
    trunk = recipe.architecture.trunk
    kind = type(trunk).__name__
    started = f" started from {trunk.origin}" if trunk.origin else ""
    weights, heads = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (member.network, member.network.heads)
    )
    if member.teacher:
        return (
            f"{n} heads of {heads:,} weights on one {kind} trunk of {weights - heads:,}{started} "
            f"(recipe {recipe.name}), each distilled from one member of recipe "
            f"{member.teacher.recipe} (fingerprint {member.teacher.fingerprint})."
        )
    says = "mean and variance" if recipe.architecture.predicts_variance else "mean only"
    return (
        f"{n} members of recipe {recipe.name} ({says}; {kind} trunk{started}, {weights:,} weights "
        f"each), trained on {len(member.assays)} MPRA tables at once."
    )


def _training_tables(
    table: pd.DataFrame, files: Sequence[Mapping[str, Any]]
) -> tuple[TrainingTable, ...]:
    """One row per source file, with the training rows of the assays that come from it."""
    train = table[~table["fold"].isin([TEST_FOLD, VALIDATION_FOLD])]
    counts = train["assay"].value_counts()
    return tuple(
        TrainingTable(
            name=str(file["name"]),
            citation=str(file["citation"]),
            licence=str(file["licence"]),
            url=str(file["url"]),
            sha256=str(file["sha256"]),
            n_train=int(counts.reindex(file["assays"], fill_value=0).sum()),
        )
        for file in files
    )


def read_provenance(table_path: Path) -> list[dict[str, Any]]:
    """Source files of a saved table, from the JSON beside it."""
    document = json.loads(table_path.with_suffix(".json").read_text(encoding="utf-8"))
    files: list[dict[str, Any]] = document["files"]
    return files


def predictor_of(model_dir: Path) -> AssayPredictor:
    """What the members of a model folder say of the rows of any assay, both strands averaged.

    Raises:
      DataError: of `predict`, for an assay that the members, heads of a student, were not taught.
    """
    members = model_members(model_dir)

    def predict(
        rows: pd.DataFrame,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        names = [assay.name for assay in members[0].assays]
        wanted = str(rows["assay"].iloc[0])
        if wanted not in names:
            raise DataError(f"{model_dir.name} knows {', '.join(names)}; not {wanted}")
        column = names.index(wanted)
        flanks = members[0].assays[column].flanks
        strands = [
            window_codes(rows["sequence"].tolist(), flanks, reverse=reverse)
            for reverse in (False, True)
        ]
        means, log_vars = [], []
        for member in members:
            mean, sd = member.scale.mean[column], member.scale.sd[column]
            predicted = [predict_constructs(member.network, codes) for codes in strands]
            means.append(np.mean([mu[:, column] for mu, _ in predicted], axis=0) * sd + mean)
            variances = [log_var[:, column] for _, log_var in predicted if log_var is not None]
            if variances:
                log_vars.append(np.mean(variances, axis=0, dtype=np.float64) + 2 * np.log(sd))
        return np.stack(means, axis=1), np.stack(log_vars, axis=1) if log_vars else None

    return predict
