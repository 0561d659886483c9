"""A model in the precisions that ONNX Runtime offers, and the same model in PyTorch."""

from pathlib import Path

import onnx
import onnxruntime as ort
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn

from service.registry import Model, Registry
from service.session import _CUDA_OPTIONS, CPU, CUDA, Device, open_session
from tests.gpu.machine import Machine
from training.export import served_model

PRECISIONS = ("fp32", "tf32", "fp16")


def content_of(folder: Path, precision: str) -> bytes:
    """Bytes of the model; for fp16 its weights and what flows between its nodes are halved."""
    path = folder / "model.onnx"
    if precision != "fp16":
        return path.read_bytes()
    halved = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    return halved.SerializeToString()  # type: ignore[no-any-return]


def session_of(content: bytes, machine: Machine, precision: str) -> ort.InferenceSession:
    """Open a session as the service does, but for TF32, which the service never allows."""
    device: Device = "cuda" if machine.has_cuda else "cpu"
    if precision != "tf32":
        return open_session(content, device, None)
    assert machine.has_cuda, "no other device has TF32"
    session = ort.InferenceSession(
        content, providers=[(CUDA, _CUDA_OPTIONS | {"use_tf32": "1"}), CPU]
    )
    assert session.get_providers()[0] == CUDA
    return session


def model_of(name: str, machine: Machine, precision: str) -> Model:
    """Return the model as the service's scorer uses it, in a precision."""
    registry = Registry()
    known = registry.load(name, "cpu")
    session = session_of(content_of(registry.models_dir / name, precision), machine, precision)
    return Model(known.info, known.card, session)


def torch_model(name: str, machine: Machine) -> nn.Module:
    """Return the members as the exporter saw them."""
    folder = Registry().models_dir / name
    return served_model(folder).requires_grad_(False).to(machine.device)


def offered(machine: Machine) -> tuple[str, ...]:
    """Precisions that differ on this machine."""
    return PRECISIONS if machine.has_cuda else ("fp32", "fp16")


def autocast(machine: Machine, precision: str) -> torch.autocast:
    """PyTorch's way to fp16."""
    return torch.autocast(machine.device, torch.float16, enabled=precision == "fp16")
