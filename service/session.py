"""Bytes of an ONNX file -> an ONNX Runtime session on the device that was asked for."""

import ctypes
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from service.errors import DeviceError, ModelContractError, ValidationError
from service.texts import of_extra

Device: TypeAlias = Literal["cpu", "cuda", "auto"]

RUNTIME_VERSION: str = ort.__version__
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# TF32 has 10 bits of mantissa, and effects are small differences of near-equal numbers.
# HEURISTIC spares the search that cuDNN otherwise runs at every new batch size.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
# Its errors come as exceptions too; a line in its own format would tear a progress bar apart.
_FATAL = 4
_REMEDY = f"on a machine with an NVIDIA driver {of_extra('cuda')}, or use device cpu"
ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)


def open_session(
    content: bytes, device: Device, threads: int | None, gpu: int = 0
) -> ort.InferenceSession:
    """Open a model on a device; `get_providers()` of the result says where it runs.

    Args:
      content: the ONNX file.
      device: cpu; cuda, an error where CUDA does not run it; auto, CUDA where that works.
      threads: threads inside one operator on the CPU, None for one per usable core.
      gpu: 0-based number of the GPU among the visible ones.

    Raises:
      DeviceError: CUDA was asked for and is not in use.
      ModelContractError: the bytes are not a model that ONNX Runtime can run.
      ValidationError: a device of another name.
    """
    if device not in get_args(Device):
        raise ValidationError(f"the device must be cpu, cuda or auto, got {device!r}")
    if device == "cpu" or (device == "auto" and not has_cuda()):
        return _session(content, [CPU], threads)
    if CUDA not in ort.get_available_providers():
        raise DeviceError(f"this ONNX Runtime has no CUDA: {_REMEDY}")
    with redirect_stdout(StringIO()):  # it prints what it does not find
        ort.preload_dlls()
    try:
        session = _session(content, [(CUDA, _CUDA_OPTIONS | {"device_id": str(gpu)}), CPU], threads)
    except ModelContractError as error:
        if device == "auto":
            return _session(content, [CPU], threads)
        raise DeviceError(f"the model does not start on CUDA ({error}): {_REMEDY}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise DeviceError(f"ONNX Runtime could not load CUDA and fell back to the CPU: {_REMEDY}")
    return session


def _session(
    content: bytes, providers: list[str | tuple[str, dict[str, str]]], threads: int | None
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # A stated number, because ONNX Runtime does not say what its own default comes to.
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = _FATAL
    try:
        # Its own fallback would print and carry on elsewhere; that decision is made above.
        return ort.InferenceSession(
            content, sess_options=options, providers=providers, enable_fallback=0
        )
    except ORT_ERRORS as error:
        raise ModelContractError(f"ONNX Runtime cannot load it: {first_line(error)}") from error


def gpu_of(session: ort.InferenceSession) -> int | None:
    """Return the number of the GPU on which a session runs, None for the CPU."""
    if session.get_providers()[0] != CUDA:
        return None
    return int(session.get_provider_options()[CUDA]["device_id"])


def run_bound(
    session: ort.InferenceSession,
    outputs: Sequence[str],
    name: str,
    values: NDArray[Any],
    device: tuple[str, int],
) -> list[NDArray[Any]]:
    """Run a session on a device: one copy of the input there, one of each output back.

    `session.run` leaves the place of both to the runtime, which copies them as a part of each run;
    bound, they are on the device before the run begins and after it ends. The way over the bus
    stays, so what this saves is small; `python -m tests.bench_gpu` measures both.

    Args:
      session: which threads may share: each run has a binding of its own.
      outputs: names of what is wanted.
      name: of the one input.
      values: of the input.
      device: where the session runs: cuda or cpu, and its 0-based number.
    """
    bound = session.io_binding()
    given = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), *device)
    bound.bind_ortvalue_input(name, given)
    for output in outputs:
        bound.bind_output(output, *device)
    session.run_with_iobinding(bound)
    return list(bound.copy_outputs_to_cpu())


def usable_cores() -> int:
    """Count the cores that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_cuda() -> bool:
    """Say whether CUDA is worth a try: without a driver, ONNX Runtime fails loudly."""
    if CUDA not in ort.get_available_providers():
        return False
    try:
        _driver()
    except OSError:
        return False
    return True


def _driver() -> ctypes.CDLL:
    """Load the driver of the GPUs.

    Raises:
      OSError: there is none.
    """
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def gpu_count() -> int:
    """Count the GPUs that this process may use, 1 where the driver does not say."""
    count = ctypes.c_int()
    try:
        driver = _driver()
        driver.cuInit(0)
        driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 1
    return max(count.value, 1)


def first_line(error: Exception) -> str:
    """Return the first line of a message, which may hold a stack trace."""
    return next(iter(str(error).splitlines()), type(error).__name__)
