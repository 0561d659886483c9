"""A trained member: weights plus all that is needed to use them, in one safetensors file.

`member.safetensors <-> Member -> mu, log_var of any construct`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from training.architectures.network import NetworkModule
from training.assays import ASSAY_BY_NAME, UNMOVED, Assay
from training.batches import Scale
from training.recipe import Recipe
from training.zoo import ZOO


class MemberError(ValueError):
    """A member file that does not fit the recipe it names."""


@dataclass(frozen=True, slots=True)
class TaughtBy:
    """Whose member a head of a student was distilled from.

    Attributes:
      recipe: of the teacher's members, several joined by `+`; the member's own seed is that of the
        one that taught it, or its number, from 1, among members of several recipes.
      fingerprint: of that recipe, or of those.
      seed: of the student's training.
      members: RECIPE/SEED of each of the teacher's members, in the order of the heads; empty where
        they are of one recipe, for then the heads have their seeds.
      offsets: of constructs, over which the teacher was averaged.
      trunk: RECIPE/SEED of the member whose trunk the student's started from; empty where none.
    """

    recipe: str
    fingerprint: str
    seed: int
    members: tuple[str, ...] = ()
    offsets: tuple[int, ...] = UNMOVED
    trunk: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One (recipe, seed) after training.

    Attributes:
      recipe: name in the zoo.
      fingerprint: of the recipe as trained.
      seed: of the run.
      data_digest: of the assay table it learned from.
      assays: columns of the heads.
      scale: what undoes the standardising, log2 units.
      residual_sd: per assay, SD of the validation residuals on the standardised scale; what a
        member without a variance head offers as its sigma.
      network: averaged weights, in evaluation mode.
      teacher: of a member that is one head of a student; all heads have one trunk.
    """

    recipe: str
    fingerprint: str
    seed: int
    data_digest: str
    assays: tuple[Assay, ...]
    scale: Scale
    residual_sd: tuple[float, ...]
    network: NetworkModule
    teacher: TaughtBy | None = None


def save_member(member: Member, path: Path) -> None:
    """Write a member, by rename, so that a file that exists is whole."""
    metadata = {
        "recipe": member.recipe,
        "fingerprint": member.fingerprint,
        "seed": str(member.seed),
        "data_digest": member.data_digest,
        "assays": json.dumps([assay.name for assay in member.assays]),
        "mean": json.dumps(member.scale.mean.tolist()),
        "sd": json.dumps(member.scale.sd.tolist()),
        "residual_sd": json.dumps(member.residual_sd),
    }
    if member.teacher:
        metadata["teacher"] = json.dumps(asdict(member.teacher))
    partial = path.with_suffix(".partial")
    weights = {name: value.contiguous() for name, value in member.network.state_dict().items()}
    save_file(weights, partial, metadata)
    partial.rename(path)


def load_member(path: Path, recipes: Mapping[str, Recipe] = ZOO) -> Member:
    """Read a member and rebuild its network.

    Args:
      path: of its file.
      recipes: by name, the member's among them.

    Raises:
      MemberError: its recipe is not there, or has changed since it was trained.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    recipe = recipes.get(metadata["recipe"])
    if recipe is None:
        raise MemberError(f"{path}: no recipe is named {metadata['recipe']}")
    if recipe.fingerprint != metadata["fingerprint"]:
        raise MemberError(
            f"{path} was trained as {metadata['fingerprint']}, but {recipe.name} is now "
            f"{recipe.fingerprint}: train it again or restore the recipe"
        )
    assays = tuple(ASSAY_BY_NAME[name] for name in json.loads(metadata["assays"]))
    network = recipe.architecture.build(assays)
    network.load_state_dict(weights)
    teacher = metadata.get("teacher")
    return Member(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        seed=int(metadata["seed"]),
        data_digest=metadata["data_digest"],
        assays=assays,
        scale=Scale(np.array(json.loads(metadata["mean"])), np.array(json.loads(metadata["sd"]))),
        residual_sd=tuple(json.loads(metadata["residual_sd"])),
        network=network.eval(),
        teacher=_taught_by(json.loads(teacher)) if teacher else None,
    )


def _taught_by(value: dict[str, Any]) -> TaughtBy:
    lists = {name: tuple(part) for name, part in value.items() if isinstance(part, list)}
    return TaughtBy(**{**value, **lists})


@torch.inference_mode()
def predict_constructs(
    network: NetworkModule, codes: NDArray[np.uint8], batch_size: int = 256
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Standardised predictions of one network in one orientation, in evaluation mode.

    Args:
      network: left in the mode it came in.
      codes: (n, 230) base codes.
      batch_size: sequences per forward pass.

    Returns:
      mu (n, A) and log_var (n, A), or None where the network has no variance heads.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    batches = torch.split(torch.from_numpy(codes), batch_size)
    parts = [network(batch.to(device)).in_single_precision() for batch in batches]
    network.train(was_training)
    mu = np.concatenate([part.mu.cpu().numpy() for part in parts])
    variances = [part.log_var.cpu().numpy() for part in parts if part.log_var is not None]
    return mu, np.concatenate(variances) if variances else None


def load_members(paths: Sequence[Path], *, is_mixed: bool = False) -> list[Member]:
    """Read members that are to be served together.

    Args:
      paths: of their files.
      is_mixed: whether they may be of several recipes; heads of a student never stand beside
        members of anything else, as their trunk is one.

    Raises:
      MemberError: they differ in table, assays or teacher, or unasked in recipe; or one comes
        twice.
    """
    members = [load_member(path) for path in paths]
    if len({(one.assays, one.data_digest, one.teacher) for one in members}) != 1:
        raise MemberError("members of one model share one table, its assays, and a teacher or none")
    if not is_mixed and len({one.recipe for one in members}) != 1:
        raise MemberError(f"members of one recipe, got {', '.join(one.recipe for one in members)}")
    if len({(one.recipe, one.seed) for one in members}) != len(members):
        raise MemberError("each member of a model has a seed of its own among those of its recipe")
    return members
