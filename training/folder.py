"""Members -> a model folder: graph, card and members, as the registry serves it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from service.registry import CONTRACT_VERSION, UNITS
from training.assays import INSERT, JOINT_LIBRARY, UNMOVED, Assay, window_codes
from training.augment import move
from training.batches import assays_of
from training.card import LIMITS, Card, TargetCard, TrainingTable, read_card, write_card
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.sources import DataError
from training.datasets.table import table_digest
from training.evaluation.sigma import AssayPredictor
from training.export import (
    export_model,
    mixture_of,
    model_members,
    names_of,
    served_assays,
)
from training.members import Member, TaughtBy, load_member, predict_constructs
from training.zoo import ZOO


def make_model(
    member_files: Sequence[Path],
    *,
    name: str,
    models_dir: Path,
    table: pd.DataFrame,
    files: Sequence[Mapping[str, Any]],
    offsets: Sequence[int] = UNMOVED,
) -> Path:
    """Export members and write the card that says what they are.

    Args:
      member_files: `member.safetensors` of each member, of one table. Where they are of several
        recipes, the card lists the recipe, fingerprint and seed of each.
      name: of the model and its folder.
      models_dir: folder of model folders.
      table: the assay table the members learned from.
      files: provenance of the table's source files, as `varsigma-train data` wrote it.
      offsets: of `training.export.ServedModel`.

    Returns:
      The model folder. Metrics of an earlier export are gone: they were another graph's.

    Raises:
      DataError: the members were trained on another table.
      MemberError: the files do not belong together.
      ExportError: the graph disagrees with torch, or of `training.export.ServedModel`.
    """
    digest = table_digest(table)
    if others := [file for file in member_files if load_member(file).data_digest != digest]:
        raise DataError(
            f"{others[0]} was trained on another table than this one ({digest[:12]}): rebuild "
            "that table or train again"
        )
    folder = models_dir / name
    members = export_model(member_files, folder, name, offsets)
    served = served_assays(members)
    recipe, fingerprint = names_of(members)
    card = Card(
        name=name,
        summary=_summary(members, offsets),
        contract_version=CONTRACT_VERSION,
        model_sha256=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        window=INSERT,
        members=len(members),
        seeds=tuple(member.seed for member in members),
        recipe=recipe,
        fingerprint=fingerprint,
        data_digest=members[0].data_digest,
        units=UNITS,
        targets=tuple(
            TargetCard(
                name=str(assay.served),
                cell_type=assay.cell_type,
                assay=assay.name,
                sigma_source=sigma_sources(assay, members, table),
            )
            for assay in served
        ),
        limits=limits_of(served),
        training_data=_training_tables(table, files),
        ensemble=mixture_of(members),
        offsets=None if tuple(offsets) == UNMOVED else tuple(offsets),
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


def sigma_sources(assay: Assay, members: Sequence[Member], table: pd.DataFrame) -> str:
    """Say where the sigma of a served assay comes from, by recipe where it is not the same."""
    recipes: dict[str, list[str]] = {}
    for member in {one.recipe: one for one in members}.values():
        recipes.setdefault(sigma_source(assay, member, table), []).append(member.recipe)
    if len(recipes) == 1:
        return next(iter(recipes))
    return "; ".join(f"of {', '.join(names)}: {source}" for source, names in recipes.items())


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


def _summary(members: Sequence[Member], offsets: Sequence[int]) -> str:
    """What the members are, and what the graph averages them over."""
    first, n = members[0], len(members)
    if first.teacher:
        kind, started = _trunk_of(first)
        if first.teacher.trunk:
            started = f" started from that of {first.teacher.trunk}"
        weights, heads = _size(first.network), _size(first.network.heads)
        return (
            f"{n} heads of {heads:,} weights on one {kind} trunk of {weights - heads:,}{started} "
            f"(recipe {first.recipe}), each distilled from one member of "
            f"{_teacher_of(first.teacher)}{_over(first.teacher.offsets)}."
        )
    one_of = {one.recipe: one for one in members}
    numbers = Counter(one.recipe for one in members)
    tables = f"trained on {len(first.assays)} MPRA tables at once"
    if len(one_of) == 1:
        return f"{n} members of {_described(first)}{_over(offsets)}, {tables}."
    parts = "; ".join(f"{numbers[name]} of {_described(one)}" for name, one in one_of.items())
    return f"{n} members of {len(one_of)} recipes{_over(offsets)}, {tables}: {parts}."


def _over(offsets: Sequence[int]) -> str:
    """What members are averaged over, as a part of a sentence."""
    if tuple(offsets) == UNMOVED:
        return ""
    return f", on average over constructs moved by {', '.join(map(str, offsets))} bases"


def _teacher_of(taught_by: TaughtBy) -> str:
    """The members that taught a student's heads, in their order."""
    if not taught_by.members:
        return f"recipe {taught_by.recipe} (fingerprint {taught_by.fingerprint})"
    recipes = taught_by.recipe.split("+"), taught_by.fingerprint.split("+")
    prints = "; ".join(f"{name}: fingerprint {of}" for name, of in zip(*recipes, strict=True))
    heads = ", ".join(f"head {n} {member}" for n, member in enumerate(taught_by.members, start=1))
    return f"several recipes ({prints}): {heads}"


def _described(member: Member) -> str:
    """Recipe, heads, trunk and size of a member that no other taught."""
    kind, started = _trunk_of(member)
    is_gauss = ZOO[member.recipe].architecture.predicts_variance
    says = "mean and variance" if is_gauss else "mean only"
    weights = f"{_size(member.network):,} weights each"
    return f"recipe {member.recipe} ({says}; {kind} trunk{started}, {weights})"


def _trunk_of(member: Member) -> tuple[str, str]:
    """Kind of trunk, and what its weights started from."""
    trunk = ZOO[member.recipe].architecture.trunk
    return type(trunk).__name__, f" started from {trunk.origin}" if trunk.origin else ""


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


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
    """What the members of a model folder say of the rows of any assay.

    Mean and log-variance are means over both strands and over the offsets of the card.

    Raises:
      DataError: of `predict`, for an assay that the members, heads of a student, were not taught.
    """
    members, offsets = model_members(model_dir), read_card(model_dir).placements

    def predict(
        rows: pd.DataFrame,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        names = [assay.name for assay in members[0].assays]
        wanted = str(rows["assay"].iloc[0])
        if wanted not in names:
            raise DataError(f"{model_dir.name} knows {', '.join(names)}; not {wanted}")
        column = names.index(wanted)
        flanks = members[0].assays[column].flanks
        sequences = rows["sequence"].tolist()
        passes = [
            move(window_codes(sequences, flanks, reverse=reverse), offset)
            for reverse in (False, True)
            for offset in offsets
        ]
        means, log_vars = [], []
        has_variance = [ZOO[one.recipe].architecture.predicts_variance for one in members]
        for member in members:
            mean, sd = member.scale.mean[column], member.scale.sd[column]
            predicted = [predict_constructs(member.network, codes) for codes in passes]
            means.append(np.mean([mu[:, column] for mu, _ in predicted], axis=0) * sd + mean)
            variances = [log_var[:, column] for _, log_var in predicted if log_var is not None]
            if not variances and any(has_variance):
                # Beside members with a variance head its constant stands, as in the graph.
                variances = [np.full(len(rows), 2 * np.log(member.residual_sd[column]))]
            if variances:
                log_vars.append(np.mean(variances, axis=0, dtype=np.float64) + 2 * np.log(sd))
        return np.stack(means, axis=1), np.stack(log_vars, axis=1) if log_vars else None

    return predict
