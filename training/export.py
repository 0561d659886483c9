"""Members -> one ONNX graph that keeps the model contract.

`members -> model.onnx: bases (N, 200) uint8 -> mu, sigma (N, M, T) float32`. Adapters, one-hot
encoding and un-standardising are inside the graph, so no caller can mistake a channel order, an
adapter or a scale. The export is compared with torch before the file gets its name.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning  # not exported elsewhere under mypy strict

from service.durable import write_file
from service.registry import CONTRACT_VERSION, INPUT, OUTPUTS, UNITS
from training.architectures.network import NetworkModule
from training.assays import INSERT, UNMOVED, Assay, checked_offsets, window_codes
from training.augment import move
from training.batches import insert_spans
from training.card import MemberCard, read_card
from training.members import Member, load_members

OPSET = 17
PARITY_BATCHES = (1, 2, 7)
PARITY_TOLERANCE = 1e-4
"""Largest |torch - ONNX Runtime| allowed, log2 units; float32 sums in another order differ."""


class ExportError(RuntimeError):
    """The members cannot be served, or the graph disagrees with torch."""


def served_assays(members: Sequence[Member]) -> list[Assay]:
    """The assays that become targets, in column order.

    Raises:
      ExportError: none is served, or served assays differ in their flanks: one window of genome
        cannot be put between two kinds of adapters.
    """
    served = [assay for assay in members[0].assays if assay.served]
    if not served:
        raise ExportError("no assay of these members is declared as served")
    if len({assay.flanks for assay in served}) != 1:
        raise ExportError(f"served assays differ in flanks: {[assay.name for assay in served]}")
    return served


def has_one_trunk(members: Sequence[Member]) -> bool:
    """Whether the members are the heads of one student, whose trunk then runs once.

    Raises:
      ExportError: they are heads of a student, but not of the same one.
    """
    if all(member.teacher is None for member in members):
        return False
    if len({member.teacher for member in members}) != 1:
        raise ExportError("heads of a student are not served beside members of anything else")
    first, *others = (member.network.trunk.state_dict() for member in members)
    if not all(torch.equal(first[name], other[name]) for other in others for name in first):
        raise ExportError("the heads of one student share one trunk; these do not")
    return True


def _edges(offset: int) -> tuple[str, str]:
    """Names of what stands left and right of an insert in a construct moved by so many bases."""
    return ("left", "right") if offset == 0 else (f"left{offset:+d}", f"right{offset:+d}")


class ServedModel(nn.Module):
    """Members side by side over one window of genome: `bases (N, W) -> mu, sigma (N, M, T)`.

    Args:
      members: M, of one table.
      offsets: by how many bases the construct stands to the right of where it stood in training.
        mu is the mean over them, sigma the geometric mean.

    Raises:
      ExportError: of `served_assays` or `has_one_trunk`, or an insert would leave the window.
    """

    columns: Tensor
    mean: Tensor
    sd: Tensor
    constant_sigma: Tensor

    def __init__(self, members: Sequence[Member], offsets: Sequence[int] = UNMOVED) -> None:
        super().__init__()
        try:
            self.offsets = checked_offsets(offsets)
        except ValueError as error:
            raise ExportError(str(error)) from error
        targets = served_assays(members)
        columns = [members[0].assays.index(assay) for assay in targets]
        self.networks = nn.ModuleList(member.network for member in members)
        self.has_one_trunk = has_one_trunk(members)
        # As a row of training: N between short flanks and the ends of the trunk's window.
        construct = window_codes(["A" * INSERT], targets[0].flanks)
        [(start, end)] = insert_spans([INSERT], targets[0].flanks)
        for offset in self.offsets:
            moved = move(construct, offset)
            edges = moved[:, : start + offset], moved[:, end + offset :]
            for name, edge in zip(_edges(offset), edges, strict=True):
                self.register_buffer(name, torch.from_numpy(edge.astype(np.int64)))
        self.register_buffer("columns", torch.tensor(columns))
        stacked = {
            "mean": np.stack([member.scale.mean[columns] for member in members]),
            "sd": np.stack([member.scale.sd[columns] for member in members]),
            "constant_sigma": np.stack([np.array(m.residual_sd)[columns] for m in members]),
        }
        for name, values in stacked.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Activity and SD of one measurement, log2 units, per member and target."""
        codes = bases.long()
        # Zeros of shape (N, 1) broadcast the adapters; expand() would leave Shape nodes behind,
        # which run on the host and cost a CUDA session two copies a batch.
        zeros = codes[:, :1] * 0
        placed = [self._construct(codes, zeros, offset) for offset in self.offsets]
        mu, sigma = zip(*(self._outputs(one) for one in placed), strict=True)
        if len(placed) == 1:
            return mu[0], sigma[0]
        return torch.stack(mu).mean(dim=0), torch.stack(sigma).log().mean(dim=0).exp()

    def _construct(self, codes: Tensor, zeros: Tensor, offset: int) -> Tensor:
        """(N, 200) codes of inserts -> (N, 230) of constructs; zeros are (N, 1)."""
        left, right = (getattr(self, name) for name in _edges(offset))
        return torch.cat([zeros + left, codes, zeros + right], dim=1)

    def _outputs(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 230) codes -> mu and sigma (N, M, T)."""
        means, log_vars = zip(*self._predict(codes), strict=True)
        mu = torch.stack([one.index_select(1, self.columns) for one in means], dim=1)
        if all(one is None for one in log_vars):
            sigma = mu * 0 + self.constant_sigma
        else:
            sigma = torch.exp(0.5 * torch.stack(self._selected(mu, log_vars), dim=1))
        return mu * self.sd + self.mean, sigma * self.sd

    def _selected(self, mu: Tensor, log_vars: Sequence[Tensor | None]) -> list[Tensor]:
        """Log-variance (N, T) of each member's targets; constant where it has no variance head."""
        return [
            mu[:, 0] * 0 + 2 * torch.log(constant)
            if one is None
            else one.index_select(1, self.columns)
            for one, constant in zip(log_vars, self.constant_sigma, strict=True)
        ]

    def _predict(self, codes: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """(N, 230) codes -> mu (N, A) and log_var (N, A) or None of each member."""
        if self.has_one_trunk:
            features, _ = cast(NetworkModule, self.networks[0]).features(codes)
            return [cast(NetworkModule, network).heads(features) for network in self.networks]
        predictions = [network(codes) for network in self.networks]
        return [(prediction.mu, prediction.log_var) for prediction in predictions]


def strip_initial_states(model: onnx.ModelProto) -> None:
    """Let every LSTM start from its default zero state, in place.

    The exporter spells the zeros as Shape and ConstantOfShape nodes, which run on the host and
    stop a CUDA session from keeping the graph on the device.
    """
    graph = model.graph
    for node in graph.node:
        if node.op_type == "LSTM":
            for position in (5, 6):  # initial_h, initial_c
                if len(node.input) > position:
                    node.input[position] = ""
    while True:
        used = {name for node in graph.node for name in node.input}
        used |= {output.name for output in graph.output}
        dead = [node for node in graph.node if not used.intersection(node.output)]
        if not dead:
            return
        for node in dead:
            graph.node.remove(node)


def mixture_of(members: Sequence[Member]) -> tuple[MemberCard, ...] | None:
    """Where each member comes from, in the order of axis M; None where all are of one recipe."""
    origins = tuple(
        MemberCard(recipe=one.recipe, fingerprint=one.fingerprint, seed=one.seed) for one in members
    )
    return None if len({origin.recipe for origin in origins}) == 1 else origins


def names_of(members: Sequence[Member]) -> tuple[str, str]:
    """Recipe and fingerprint of a model: of several, each once, joined by `+` in one order."""
    found = dict.fromkeys((member.recipe, member.fingerprint) for member in members)
    recipes, fingerprints = zip(*found, strict=True)
    return "+".join(recipes), "+".join(fingerprints)


def build_graph(
    members: Sequence[Member], name: str, offsets: Sequence[int] = UNMOVED
) -> onnx.ModelProto:
    """Trace the members into one graph and write the contract's metadata into it.

    Members of several recipes are listed one by one beside it, as `ensemble`; offsets, where there
    are others than 0, as `offsets`.
    """
    served = ServedModel(members, offsets).eval()
    example = torch.randint(0, 5, (2, INSERT), dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is the one that keeps a dynamic batch through an LSTM.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size")
        warnings.filterwarnings("ignore", category=TracerWarning)
        torch.onnx.export(
            served,
            (example,),
            buffer,  # type: ignore[arg-type] # the annotation leaves out what the docs promise
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "N"} for name in (INPUT, *OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    strip_initial_states(model)
    recipe, fingerprint = names_of(members)
    metadata = {
        "contract_version": CONTRACT_VERSION,
        "name": name,
        "targets": json.dumps([assay.served for assay in served_assays(members)]),
        "window": str(INSERT),
        "units": UNITS,
        "recipe": recipe,
        "fingerprint": fingerprint,
        "data_digest": members[0].data_digest,
    }
    if mixture := mixture_of(members):
        metadata["ensemble"] = json.dumps([asdict(origin) for origin in mixture])
    if served.offsets != UNMOVED:
        metadata["offsets"] = json.dumps(served.offsets)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


@torch.inference_mode()
def parity(
    members: Sequence[Member], graph: bytes, offsets: Sequence[int] = UNMOVED, seed: int = 0
) -> float:
    """Largest absolute difference between torch and ONNX Runtime over batches of 1, 2 and 7.

    The sequences include N, so the all-zero column is compared too.
    """
    served = ServedModel(members, offsets).eval()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = 0.0
    for n in PARITY_BATCHES:
        bases = rng.integers(0, 5, (n, INSERT), dtype=np.uint8)
        expected = served(torch.from_numpy(bases))
        got = session.run(list(OUTPUTS), {INPUT: bases})
        for left, right in zip(expected, got, strict=True):
            worst = max(worst, float(np.abs(left.numpy() - right).max()))
    return worst


def export_model(
    member_files: Sequence[Path], folder: Path, name: str, offsets: Sequence[int] = UNMOVED
) -> list[Member]:
    """Write `model.onnx` of these members into a model folder and copy the members beside it.

    Args:
      member_files: `member.safetensors` of each member; of one table, of one recipe or several.
      folder: of the model, made if missing.
      name: under which the registry serves it.
      offsets: of `ServedModel`.

    Returns:
      The members, in the order of the graph's axis M.

    Raises:
      MemberError: the files do not belong together.
      ExportError: torch and ONNX Runtime disagree by more than `PARITY_TOLERANCE`, or of
        `ServedModel`.
    """
    members = load_members(member_files, is_mixed=True)
    graph = build_graph(members, name, offsets).SerializeToString()
    difference = parity(members, graph, offsets)
    if difference > PARITY_TOLERANCE:
        raise ExportError(f"{name}: ONNX Runtime differs from torch by {difference:.2g} log2 units")
    names = member_names([member.seed for member in members], mixture_of(members))
    # All are read before any is written: they may be the files of this very folder.
    bytes_of = {name: file.read_bytes() for name, file in zip(names, member_files, strict=True)}
    (folder / "members").mkdir(parents=True, exist_ok=True)
    for file_name, content in bytes_of.items():
        write_file(folder / "members" / file_name, content)
    # After the members: the card of an earlier export names the earlier graph, and refuses this one
    # by its digest until it is replaced too.
    write_file(folder / "model.onnx", graph)
    for file in (folder / "members").glob("*.safetensors"):
        if file.name not in bytes_of:
            file.unlink()
    return members


def member_names(seeds: Sequence[int], mixture: Sequence[MemberCard] | None) -> list[str]:
    """Names of the files of a model's members, in the order of the graph's axis M."""
    if mixture is None:
        return [f"{seed}.safetensors" for seed in seeds]
    return [origin.file for origin in mixture]


def served_model(folder: Path) -> ServedModel:
    """What `model.onnx` of a model folder was traced from, in evaluation mode.

    Raises:
      MemberError: the members do not belong together.
      ExportError: of `ServedModel`.
      ValueError: a card of another schema.
      OSError: the card or a member's file is missing.
    """
    return ServedModel(model_members(folder), read_card(folder).placements).eval()


def model_members(folder: Path) -> list[Member]:
    """The members of a model folder, in the order of the graph's axis M, as its card lists them.

    Raises:
      MemberError: they do not belong together.
      OSError: a member's file is missing.
    """
    return load_members(model_files(folder), is_mixed=True)


def model_files(folder: Path) -> list[Path]:
    """Files of the members of a model folder, in the order of the graph's axis M.

    Raises:
      OSError: the card is missing.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    listed = card.get("ensemble")
    mixture = None if listed is None else [MemberCard(**origin) for origin in listed]
    names = member_names(card["seeds"], mixture)
    return [folder / "members" / name for name in names]
