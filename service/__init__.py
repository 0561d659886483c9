"""varsigma: the effect of a DNA variant on regulatory activity, and how sure the model is.

bytes -> variants -> windows -> base codes -> mu, sigma -> effect distribution -> VCF | TSV | JSON
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("varsigma")
except PackageNotFoundError:  # a source tree on the path without an installed distribution
    __version__ = "0+unknown"

__all__ = ["__version__"]
