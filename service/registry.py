"""models/ -> checked models: card, digest, metadata and tensors are verified before first use."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.background import Background
from service.calibration import Calibration
from service.entries import digest_of
from service.errors import ModelContractError, ModelNotFoundError
from service.likelihood import KEY as LIKELIHOOD
from service.likelihood import LikelihoodRatios
from service.novelty import Novelty
from service.sequence import BASES, Codes
from service.session import ORT_ERRORS, Device, first_line, gpu_of, open_session, run_bound

CONTRACT_VERSION = "1"
CARD_VERSION = 1
"""Version of the schema of card.json; written by training, read here."""
UNITS = "log2(RNA/DNA)"
INPUT = "bases"
OUTPUTS = ("mu", "sigma")
METADATA_KEYS = frozenset({
    "contract_version", "data_digest", "fingerprint", "name", "recipe", "targets", "units",
    "window",
})  # fmt: skip
CARD_KEYS = METADATA_KEYS | {
    "calibration", "intended_use", "licence", "limits", "members", "metrics", "model_sha256",
    "schema_version", "seeds", "summary", "training_data",
}  # fmt: skip

ENTRIES = ("calibration", "novelty", "background")
"""Keys of what a card adds to scores; cards of models that nobody looked into lack the last two."""
ON_REQUEST = (LIKELIHOOD,)
"""Keys of what a card holds for those who ask: no part of a score, nor of what identifies one."""

_REMEDY = (
    "if its files are damaged, copy its folder again, or export it again with"
    " `varsigma-train export`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model is, as its file and its card agree.

    Attributes:
      name: name of its folder.
      targets: T names, the order of the last axis of mu and sigma.
      window: W, bases of one input.
      members: M, ensemble members.
      units: of mu and sigma.
      recipe: how it was trained.
      fingerprint: digest of the recipe's hyper-parameters.
      data_digest: digest of the training tables.
      model_sha256: digest of model.onnx.
    """

    name: str
    targets: tuple[str, ...]
    window: int
    members: int
    units: str
    recipe: str
    fingerprint: str
    data_digest: str
    model_sha256: str


class Model:
    """A model that runs; threads may share it.

    Attributes:
      info: what it is.
      card: its card.json.
      calibration: how its effects become calibrated, None if they are not.
      novelty: how unlike its training inserts a window is, None if nobody has looked.
      background: effects of random variants on it, None if nobody has scored them.
      entry_digests: SHA-256 of these three entries of the card, which are part of every score, as
        canonical JSON; None for one that is not there.
      likelihood_ratios: what the size of an effect says of what an assay would find, for those who
        ask; None if nobody has fitted it.
      likelihood_sha256: digest of that entry, as above.
    """

    def __init__(
        self, info: ModelInfo, card: Mapping[str, Any], session: ort.InferenceSession
    ) -> None:
        """Wrap an open session; `Registry.load` checks it first."""
        self.info = info
        self.card = card
        self.calibration = Calibration.from_card(card["calibration"], info.targets)
        # Cards that were written before there were such entries lack the keys.
        self.novelty = Novelty.from_card(card.get("novelty"), info.window)
        self.background = Background.from_card(card.get("background"), info.targets)
        entries = {key: card.get(key) for key in ENTRIES}
        self.entry_digests = {
            key: None if entry is None else digest_of(entry) for key, entry in entries.items()
        }
        likelihood = card.get(LIKELIHOOD)
        self.likelihood_ratios = LikelihoodRatios.from_card(likelihood, info.targets)
        self.likelihood_sha256 = None if likelihood is None else digest_of(likelihood)
        self._session = session
        self._gpu = gpu_of(session)

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers that ONNX Runtime uses, preferred first."""
        return tuple(self._session.get_providers())

    @property
    def threads(self) -> int:
        """Threads inside one operator on the CPU."""
        return int(self._session.get_session_options().intra_op_num_threads)

    def run(self, bases: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict activity.

        Args:
          bases: (N, W) uint8 codes.

        Returns:
          mu and sigma, each (N, M, T), log2(RNA/DNA).
        """
        if self._gpu is None:
            mu, sigma = self._session.run(OUTPUTS, {INPUT: bases})
        else:
            mu, sigma = run_bound(self._session, OUTPUTS, INPUT, bases, ("cuda", self._gpu))
        return mu, sigma


class Registry:
    """The models of one folder: `<name>/model.onnx` and `<name>/card.json`."""

    def __init__(self, models_dir: Path | str | None = None) -> None:
        """Look into a folder, by default the models that came with the package."""
        self.models_dir = default_models_dir() if models_dir is None else Path(models_dir)

    def names(self) -> list[str]:
        """Return the names of all models, sorted.

        Raises:
          ModelNotFoundError: there is no such folder.
        """
        if not self.models_dir.is_dir():
            raise ModelNotFoundError(
                f"there is no folder of models at {self.models_dir}; give another with --models DIR"
            )
        files = (*self.models_dir.glob("*/model.onnx"), *self.models_dir.glob("*/card.json"))
        return sorted({file.parent.name for file in files})

    def card(self, name: str) -> dict[str, Any]:
        """Return a model's card.

        Raises:
          ModelNotFoundError: no model of that name.
          ModelContractError: the card is missing, no JSON object, of another version of the
            contract or of the card's schema, or lacks a key.
        """
        path = self._folder(name) / "card.json"
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise broken(name, f"card.json cannot be read ({error})") from error
        if isinstance(card, dict):
            _check_versions(name, card)
        missing = sorted(CARD_KEYS - card.keys()) if isinstance(card, dict) else sorted(CARD_KEYS)
        if missing:
            raise broken(name, f"card.json lacks {', '.join(missing)}")
        return dict(card)

    def checked_card(self, name: str) -> dict[str, Any]:
        """Return a model's card, after what can be looked at without opening a session.

        Raises:
          ModelNotFoundError: no model of that name.
          ModelContractError: as `card`; or model.onnx is missing or has another digest, or the card
            has another name than the folder.
        """
        card = self.card(name)
        self._content(name, card)
        if card["name"] != name:
            raise broken(name, f"its card name is {card['name']!r}, expected {name!r}")
        return card

    def load(
        self,
        name: str,
        device: Device = "cpu",
        threads: int | None = None,
        gpu: int = 0,
        *,
        with_entries: bool = True,
    ) -> Model:
        """Open a model and verify that it keeps the contract.

        Args:
          name: name of its folder.
          device: cpu, cuda (an error where it is not in use) or auto.
          threads: threads inside one operator on the CPU, None for one per usable core.
          gpu: 0-based number of the GPU among the visible ones.
          with_entries: False leaves out what was fitted to the model's outputs (`ENTRIES` and
            `ON_REQUEST` of the card), whatever it holds: for what fits it anew.

        Raises:
          ModelNotFoundError: no model of that name.
          ModelContractError: a file is missing, corrupt, or not what its card says.
          DeviceError: CUDA was asked for and is not in use.
        """
        card = self.card(name)
        if not with_entries:
            card |= dict.fromkeys((*ENTRIES, *ON_REQUEST))
        content = self._content(name, card)
        try:
            session = open_session(content, device, threads, gpu)
            info = _read_info(name, card, session)
            _check_tensors(info, session)
            return Model(info, card, session)
        except ModelContractError as error:
            raise broken(name, error.message) from error

    def _content(self, name: str, card: Mapping[str, Any]) -> bytes:
        """Read model.onnx, whose digest must be that of the card."""
        try:
            content = (self._folder(name) / "model.onnx").read_bytes()
        except OSError as error:
            raise broken(name, f"model.onnx cannot be read ({error.strerror})") from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != card["model_sha256"]:
            raise broken(
                name,
                f"model.onnx has SHA-256 {digest}, its card says {card['model_sha256']}:"
                " one of the files is damaged or of another version",
            )
        return content

    def _folder(self, name: str) -> Path:
        names = self.names()
        if name not in names:
            raise ModelNotFoundError(
                f"no model {name!r} in {self.models_dir}; there are: {', '.join(names) or 'none'}",
                detail={"available": names},
            )
        return self.models_dir / name


def default_models_dir() -> Path:
    """Return the folder that a wheel bundles, else the one beside the source tree."""
    bundled = Path(__file__).with_name("_models")
    return bundled if bundled.is_dir() else Path(__file__).parents[1] / "models"


def broken(name: str, problem: str) -> ModelContractError:
    """Return the error for a model that is not what it must be, with what to do."""
    return ModelContractError(f"model {name}: {problem}; {_REMEDY}", detail={"model": name})


def _check_versions(name: str, card: Mapping[str, Any]) -> None:
    """Tell what is of another version before what that version lacks."""
    versions = {"contract_version": CONTRACT_VERSION, "schema_version": CARD_VERSION}
    for key, read in versions.items():
        if (found := card.get(key, read)) != read:
            raise ModelContractError(
                f"model {name}: its card has {key.replace('_', ' ')} {found!r}, this service reads"
                f" {read!r}; take the varsigma that it was made for, or export it again",
                detail={"model": name},
            )


def _read_info(name: str, card: Mapping[str, Any], session: ort.InferenceSession) -> ModelInfo:
    """Read the metadata, which must be complete and agree with the card."""
    metadata = session.get_modelmeta().custom_metadata_map
    if missing := sorted(METADATA_KEYS - metadata.keys()):
        raise ModelContractError(f"its metadata lacks {', '.join(missing)}")
    if metadata["contract_version"] != CONTRACT_VERSION:
        raise ModelContractError(
            f"it keeps contract version {metadata['contract_version']!r},"
            f" this service reads {CONTRACT_VERSION!r}"
        )
    try:
        targets = tuple(json.loads(metadata["targets"]))
        window = int(metadata["window"])
        described = tuple(target["name"] for target in card["targets"])
        members = int(card["members"])
        # Only where the graph moves the construct: it is the mean over these places.
        offsets = json.loads(metadata.get("offsets", "null"))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelContractError(
            f"targets, window, members or offsets are malformed ({error})"
        ) from error
    if not targets or len(set(targets)) != len(targets):
        raise ModelContractError(f"its targets must be different names, got {list(targets)}")
    if metadata["units"] != UNITS:
        raise ModelContractError(f"its units are {metadata['units']}, they must be {UNITS}")
    same = {key: (metadata[key], card[key]) for key in METADATA_KEYS - {"targets", "window"}}
    same |= {"name": (metadata["name"], name), "card name": (card["name"], name)}
    same |= {"targets": (targets, described), "window": (window, card["window"])}
    same |= {"offsets": (offsets, card.get("offsets"))}
    for key, (found, expected) in same.items():
        if found != expected:
            raise ModelContractError(f"its {key} is {found!r}, expected {expected!r}")
    return ModelInfo(
        name=name,
        targets=targets,
        window=window,
        members=members,
        model_sha256=card["model_sha256"],
        **{key: metadata[key] for key in ("units", "recipe", "fingerprint", "data_digest")},
    )


def _check_tensors(info: ModelInfo, session: ort.InferenceSession) -> None:
    """Compare names, types and shapes with the contract, then run two sizes of batch."""
    found = [
        (tensor.name, tensor.type) for tensor in (*session.get_inputs(), *session.get_outputs())
    ]
    wanted = [(INPUT, "tensor(uint8)"), *((output, "tensor(float)") for output in OUTPUTS)]
    if found != wanted:
        raise ModelContractError(f"its tensors are {found}, expected {wanted}")
    shape = session.get_inputs()[0].shape
    if len(shape) != 2 or isinstance(shape[0], int) or shape[1] != info.window:
        raise ModelContractError(f"its input has shape {shape}, expected [N, {info.window}]")
    for n in (1, 3):
        bases = np.resize(np.arange(len(BASES), dtype=np.uint8), (n, info.window))
        try:
            mu, sigma = session.run(OUTPUTS, {INPUT: bases})
        except ORT_ERRORS as error:
            raise ModelContractError(f"it fails on {n} windows: {first_line(error)}") from error
        expected = (n, info.members, len(info.targets))
        if mu.shape != expected or sigma.shape != expected:
            raise ModelContractError(
                f"mu and sigma have shapes {mu.shape} and {sigma.shape}, expected {expected}:"
                " sequences, members, targets"
            )
        if not (np.isfinite(mu).all() and np.isfinite(sigma).all() and (sigma > 0).all()):
            raise ModelContractError("mu must be finite and sigma positive, for every sequence")
