"""Members of a model -> a student: one trunk with a head for each of them.

`teacher files + student recipe + seed + table -> one file a head`. The loop, its checkpoints and
its averaged weights are those of every recipe (`training.fitting`). Each head is stored with the
trunk, as a member of its own under the number of the member that taught it (`head_numbers`):
whatever reads members reads those of a student. The export puts them back on one trunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.architectures.network import NetworkModule
from training.architectures.student import StudentHeads
from training.architectures.trunks import Compact, Trunk
from training.assays import UNMOVED, Assay, checked_offsets
from training.batches import LabelledSequences, Scale
from training.datasets.table import table_digest
from training.distil.lessons import DistilError, TaughtBatches, Teacher, head_numbers
from training.distil.loss import Distillation
from training.distil.mutants import Mutants
from training.distil.places import member_files, student_folder
from training.export import mixture_of, names_of, served_assays
from training.fitting import quiet, run_cycles
from training.members import Member, TaughtBy, load_members, predict_constructs, save_member
from training.recipe import Recipe
from training.trainer import claim, split
from training.zoo import ZOO


def distil_student(
    recipe: Recipe,
    seed: int,
    teachers: Sequence[Path],
    table: pd.DataFrame,
    runs: Path,
    *,
    teacher_name: str | None = None,
    offsets: Sequence[int] = UNMOVED,
    threads: int = 1,
    progress: bool = True,
    stop_after: int | None = None,
) -> list[Path] | None:
    """Train one student, resuming from the last finished epoch if its folder holds one.

    It learns from training constructs and from their mutated copies, by what the teacher's
    members say of them for the served assays; no measured label is read but those of the
    validation fold, for `residual_sd`.

    Args:
      recipe: of the student.
      seed: of initial weights, order, orientation, mutations and dropout.
      teachers: `member.safetensors` of M members, of one recipe or several.
      table: the assay table that they learned from.
      runs: folder of all runs; that of this one is `student_folder`.
      teacher_name: in the name of that folder; by default its recipes.
      offsets: over which the teacher is averaged, as `training.export.ServedModel` does.
      threads: of torch; part of what makes a run bit-identical.
      progress: show a progress bar.
      stop_after: end after this many epochs of this call, as if interrupted.

    Returns:
      `member_files`, in the order of the teachers, or None when `stop_after` ended the call first.

    Raises:
      DistilError: the recipe is no student's, the members cannot teach it, or offsets cannot be.
      RunError: the folder holds another run.
    """
    mutants = recipe.sampler
    if not isinstance(mutants, Mutants):
        raise DistilError(f"{recipe.name} learns from labels: `varsigma-train train {recipe.name}`")
    members, digest = load_members(teachers, is_mixed=True), table_digest(table)
    if members[0].data_digest != digest:
        raise DistilError(f"{teachers[0]} was trained on another table than this one")
    if members[0].teacher:
        raise DistilError(f"{teachers[0]} is a head of a student: distil from its teacher")
    assays = served_assays(members)
    (recipes, fingerprints), numbers = names_of(members), head_numbers(members)
    warm = _warm_member(recipe, members)
    try:
        checked_offsets(offsets)
    except ValueError as error:
        raise DistilError(str(error)) from error
    folder = student_folder(runs, recipe.name, seed, teacher_name or recipes)
    claim(
        folder,
        {
            "fingerprint": recipe.fingerprint,
            "data_digest": digest,
            "teacher": fingerprints,
            "members": numbers,
            "teacher_sha256": _digest(teachers),
            "offsets": list(offsets),
            "seed": seed,
            "threads": threads,
        },
    )
    paths = member_files(folder, numbers)
    if all(path.exists() for path in paths):
        return paths
    torch.set_num_threads(threads)
    with quiet():
        lightning.seed_everything(seed, verbose=False)
        train, measured, _ = split(table)
        optim = recipe.optim
        teacher = Teacher(members, assays, offsets=offsets, is_rounded=optim.is_rounded)
        validation = teacher.lessons(measured)
        batches = TaughtBatches(
            teacher.lessons(train),
            teacher,
            mutants,
            batch_size=optim.batch_size,
            seed=seed,
            epochs=optim.epochs,
        )
        loss = replace(cast(Distillation, recipe.loss), n_members=len(members))
        network = run_cycles(
            replace(recipe, loss=loss),
            batches,
            validation,
            [folder / f"cycle{number}" for number in range(len(optim.cycles))],
            epochs_left=optim.epochs if stop_after is None else stop_after,
            progress=progress,
            trunk=warm.network.trunk.state_dict() if warm else None,
        )
    if network is None:
        return None
    residual_sd = _residual_sd(network, validation, measured.activity[:, teacher.columns])
    (folder / "members").mkdir(exist_ok=True)
    origins = tuple(f"{one.recipe}/{one.seed}" for one in mixture_of(members) or ())
    taught_by = TaughtBy(
        recipes,
        fingerprints,
        seed,
        origins,
        offsets=teacher.offsets,
        trunk=f"{warm.recipe}/{warm.seed}" if warm else "",
    )
    for number, (member, path) in enumerate(zip(members, paths, strict=True)):
        scale = Scale(member.scale.mean[teacher.columns], member.scale.sd[teacher.columns])
        head = Member(
            recipe=recipe.name,
            fingerprint=recipe.fingerprint,
            seed=numbers[number],
            data_digest=digest,
            assays=tuple(assays),
            scale=scale,
            residual_sd=tuple(residual_sd[number]),
            network=_one_head(recipe, network, number, assays),
            teacher=taught_by,
        )
        save_member(head, path)
    return paths


def _warm_member(recipe: Recipe, members: Sequence[Member]) -> Member | None:
    """The member whose trunk a student starts from, the first that has the same; None for a fresh.

    Raises:
      DistilError: it is to start from one, and no member has it.
    """
    if not cast(StudentHeads, recipe.architecture.heads).is_warm:
        return None
    own = recipe.architecture.trunk
    for member in members:
        if _without_dropout(ZOO[member.recipe].architecture.trunk) == _without_dropout(own):
            return member
    raise DistilError(f"{recipe.name} starts from the trunk of a member, and none has {own}")


def _without_dropout(trunk: Trunk) -> Trunk:
    """The trunk but for `dropout`, which has no weights."""
    return replace(trunk, dropout=0.0) if isinstance(trunk, Compact) else trunk


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _residual_sd(
    network: NetworkModule, validation: LabelledSequences, activity: NDArray[np.float32]
) -> list[list[float]]:
    """SD of each head's validation residuals from measured activities (n, T): M lists of T."""
    mu, _ = predict_constructs(network, validation.codes)
    residual = mu.reshape(len(mu), -1, activity.shape[1]) - activity[:, None]
    sd: list[list[float]] = np.sqrt(np.nanmean(residual**2, axis=0)).tolist()
    return sd


def _one_head(
    recipe: Recipe, network: NetworkModule, number: int, assays: Sequence[Assay]
) -> NetworkModule:
    """The trunk with one of the heads alone."""
    own, every = f"heads.members.{number}.", "heads.members."
    weights = {
        name.replace(own, f"{every}0."): value
        for name, value in network.state_dict().items()
        if name.startswith(own) or not name.startswith(every)
    }
    alone = recipe.architecture.build(assays)
    alone.load_state_dict(weights)
    return alone.eval()
