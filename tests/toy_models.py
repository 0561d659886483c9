"""Models small enough to count by hand, under the contract of the real ones.

`SumModel`: mu = scale[m, t] * sum over positions of position_weight * base_weight[base], and
sigma = noise[m, t] * (1 + number of G). With the default whole-number weights float32 is exact.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

A, C, G, T, N = range(5)

CALIBRATION = {
    "version": 2,
    "shape": {
        "small_slope": 0.5,
        "large_slope": 2.0,
        "small_sd": 0.1,
        "large_sd": 0.8,
        "intercept": -1.0,
        "by_effect": 0.5,
        "by_spread": 0.25,
        "sd_by_spread": 0.125,
        "effect_floor": 0.02,
        "spread_floor": 0.01,
    },
    "nominal": [0.5, 0.9],
    "level": [0.4, 0.95],
    "noise_correlation": {"K562": 0.2},
    "assay": "by hand",
    "assay_sd": 0.05,
    "targets": ["K562"],
    "strands": 2,
    "shifts": [0],
    "variants": "SNV",
    "method": "by hand",
    "data": "none",
    "n": 0,
    "loci": 0,
}
"""A card's calibration for the toy models."""

BACKGROUND = {
    "version": 1,
    "levels": [0.01, 0.1, 0.5, 0.9, 0.99],
    "targets": {
        "K562": {
            "effect": [-300.0, -100.0, -5.0, 90.0, 250.0],
            "magnitude": [1.0, 10.0, 50.0, 200.0, 400.0],
        },
        "HepG2": {
            "effect": [-600.0, -200.0, -10.0, 180.0, 500.0],
            "magnitude": [2.0, 20.0, 100.0, 400.0, 800.0],
        },
    },
    "strands": 2,
    "shifts": [0],
    "variants": "SNV",
    "scheme": "by hand",
    "n": 100,
    "seed": 0,
    "data": "none",
    "data_sha256": "0",
}
"""A card's background for a toy model of K562 and HepG2."""


@dataclass(frozen=True)
class SumModel:
    """A linear model of a window's bases.

    Attributes:
      width: W.
      targets: T names.
      members: M; member m of target t scales the sum by (m + 1) * (t + 1).
      base_weights: of A, C, G, T, N. Not symmetrical, so the two strands differ.
      position_weights: (W,), by default 1 to W.
    """

    width: int = 20
    targets: tuple[str, ...] = ("K562", "HepG2")
    members: int = 3
    base_weights: tuple[float, ...] = (1, 2, 4, 8, 0)
    position_weights: tuple[float, ...] | None = None

    @property
    def scale(self) -> NDArray[np.float32]:
        """(M, T)."""
        return np.outer(1 + np.arange(self.members), 1 + np.arange(len(self.targets))).astype("f4")

    @property
    def noise(self) -> NDArray[np.float32]:
        """(M, T)."""
        return self.scale / 4

    @property
    def positions(self) -> NDArray[np.float32]:
        """(W,)."""
        weights = self.position_weights or tuple(range(1, self.width + 1))
        return np.array(weights, "f4")

    def mu(self, bases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, W) codes -> (N, M, T), the same in NumPy."""
        total = np.array(self.base_weights, "f4")[bases] @ self.positions
        return total[:, None, None] * self.scale

    def sigma(self, bases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, W) codes -> (N, M, T), the same in NumPy."""
        count = (bases == G).sum(axis=1, dtype="f4")
        return (1 + count)[:, None, None] * self.noise

    def metadata(self, name: str) -> dict[str, str]:
        return {
            "contract_version": "1",
            "name": name,
            "targets": json.dumps(self.targets),
            "window": str(self.width),
            "units": "log2(RNA/DNA)",
            "recipe": "sum",
            "fingerprint": "toy-fingerprint",
            "data_digest": "toy-data",
        }

    def card(self, name: str) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "name": name,
            "summary": "Weighted count of bases, for tests.",
            "contract_version": "1",
            "model_sha256": "",
            "window": self.width,
            "members": self.members,
            "seeds": list(range(self.members)),
            "recipe": "sum",
            "fingerprint": "toy-fingerprint",
            "data_digest": "toy-data",
            "units": "log2(RNA/DNA)",
            "targets": [
                {"name": name, "cell_type": name, "assay": "toy", "sigma_source": "count of G"}
                for name in self.targets
            ],
            "training_data": [],
            "metrics": {},
            "calibration": None,
            "licence": "Apache-2.0",
            "intended_use": "Tests.",
            "limits": ["It knows nothing of biology."],
        }

    def proto(
        self,
        *,
        metadata: Mapping[str, str],
        input_name: str = "bases",
        input_type: int = TensorProto.UINT8,
        input_shape: Sequence[int | str] | None = None,
        output_names: tuple[str, str] = ("mu", "sigma"),
        output_type: int = TensorProto.FLOAT,
        traced_n: int = -1,
    ) -> onnx.ModelProto:
        """Build the graph; the arguments beside `metadata` break the contract on purpose."""
        mu, sigma = output_names
        n_axis = (input_shape or ["N"])[0]
        constants = {
            "base_weights": np.array(self.base_weights, "f4"),
            "g_only": np.eye(5, dtype="f4")[G],
            "position_weights": self.positions[:, None],
            "ones": np.ones((self.width, 1), "f4"),
            "one": np.ones(1, "f4"),
            "shape": np.array([traced_n, self.width], "i8"),
            "last": np.array([2], "i8"),
            "scale": self.scale,
            "noise": self.noise,
        }
        nodes = [
            helper.make_node("Cast", [input_name], ["codes"], to=TensorProto.INT64),
            helper.make_node("Gather", ["base_weights", "codes"], ["looked_up"]),
            helper.make_node("Reshape", ["looked_up", "shape"], ["values"]),
            helper.make_node("MatMul", ["values", "position_weights"], ["total"]),
            helper.make_node("Unsqueeze", ["total", "last"], ["total3"]),
            helper.make_node("Mul", ["total3", "scale"], ["mu_float"]),
            helper.make_node("Cast", ["mu_float"], [mu], to=output_type),
            helper.make_node("Gather", ["g_only", "codes"], ["is_g"]),
            helper.make_node("MatMul", ["is_g", "ones"], ["count"]),
            helper.make_node("Add", ["count", "one"], ["count1"]),
            helper.make_node("Unsqueeze", ["count1", "last"], ["count3"]),
            helper.make_node("Mul", ["count3", "noise"], ["sigma_float"]),
            helper.make_node("Cast", ["sigma_float"], [sigma], to=output_type),
        ]
        shape = [n_axis, self.members, len(self.targets)]
        graph = helper.make_graph(
            nodes,
            "sum",
            [
                helper.make_tensor_value_info(
                    input_name, input_type, list(input_shape or ["N", self.width])
                )
            ],
            [helper.make_tensor_value_info(name, output_type, shape) for name in output_names],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(proto, dict(metadata))
        onnx.checker.check_model(proto)
        return proto


def write_model(
    models_dir: Path,
    model: SumModel | None = None,
    *,
    name: str = "sum",
    metadata: Mapping[str, str | None] | None = None,
    card: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
    **broken: Any,
) -> Path:
    """Write `<models_dir>/<name>/` with model.onnx and card.json.

    Args:
      models_dir: folder of models.
      model: by default `SumModel()`.
      name: of the model and its folder.
      metadata: entries to change; None removes one.
      card: entries to change.
      without: keys to leave out of the card.
      broken: arguments of `SumModel.proto` that break the contract.

    Returns:
      The model's folder.
    """
    model = model or SumModel()
    folder = models_dir / name
    folder.mkdir(parents=True)
    entries = {
        key: value
        for key, value in (model.metadata(name) | dict(metadata or {})).items()
        if value is not None
    }
    content = model.proto(metadata=entries, **broken).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    described = model.card(name) | {"model_sha256": hashlib.sha256(content).hexdigest()}
    described |= dict(card or {})
    text = json.dumps({key: described[key] for key in described if key not in without})
    (folder / "card.json").write_text(text)
    return folder
