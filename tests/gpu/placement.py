"""Where every node of a graph runs, by ONNX Runtime's own profile, and what it reads and writes."""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from service.registry import INPUT
from service.session import _CUDA_OPTIONS, CPU, CUDA
from tests.gpu.machine import Machine

# A node is heavy if it computes with weights, or if it writes so much of all that is written.
_COMPUTING = ("Conv", "Gemm", "MatMul", "LSTM", "GRU", "Attention")
_HEAVY_SHARE = 0.01


@dataclass(frozen=True)
class Node:
    """One node in one run.

    Attributes:
      op: its kind.
      provider: who ran it.
      n_read: bytes of its inputs and weights.
      n_written: bytes of its outputs.
    """

    op: str
    provider: str
    n_read: int
    n_written: int


def profiled(content: bytes, machine: Machine, batch: np.ndarray) -> list[Node]:
    """Run a model once and return what ran."""
    options = ort.SessionOptions()
    options.enable_profiling = True
    providers = [(CUDA, _CUDA_OPTIONS), CPU] if machine.has_cuda else [CPU]
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = ort.InferenceSession(content, options, providers=providers)
        session.run(None, {INPUT: batch})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [
        Node(
            event["args"]["op_name"],
            event["args"]["provider"],
            sum(int(event["args"].get(key, 0)) for key in ("activation_size", "parameter_size")),
            int(event["args"].get("output_size", 0)),
        )
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


def n_moved(nodes: Sequence[Node]) -> int:
    """Bytes that cross memory where each node reads its inputs and writes its outputs once."""
    return sum(node.n_read + node.n_written for node in nodes)


def heavy_on_host(nodes: Sequence[Node]) -> list[Node]:
    """Nodes that should not be on the host and are."""
    total = sum(node.n_written for node in nodes)
    return [
        node
        for node in nodes
        if node.provider == CPU
        and (
            any(part in node.op for part in _COMPUTING) or node.n_written > _HEAVY_SHARE * total
        )
    ]  # fmt: skip


def table(nodes: Sequence[Node]) -> list[str]:
    """Return a line for each provider."""
    total = sum(node.n_written for node in nodes)
    ops: dict[str, Counter[str]] = defaultdict(Counter)
    written: Counter[str] = Counter()
    for node in nodes:
        ops[node.provider][node.op] += 1
        written[node.provider] += node.n_written
    return [
        f"{provider}: {sum(counts.values())} nodes, {100 * written[provider] / total:.2f} % of the"
        f" bytes written: {', '.join(f'{n} {op}' for op, n in counts.most_common())}"
        for provider, counts in ops.items()
    ]
