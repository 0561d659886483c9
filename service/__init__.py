"""varsigma: the effect of a DNA variant on regulatory activity, and how sure the model is.

bytes -> variants -> windows -> base codes -> mu, sigma -> effect distribution -> VCF | TSV | JSON
"""

import os
from importlib.metadata import PackageNotFoundError, version

# ONNX Runtime (1.29 and later) reports its use to its maker over the network unless this stands in
# the environment before it is first imported. People run this on patients' genomes.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("varsigma")
except PackageNotFoundError:  # a source tree on the path without an installed distribution
    __version__ = "0+unknown"

__all__ = ["__version__"]
