"""Scale, offset and width of predictions, fitted on the validation fold of one assay.

A ranking loss leaves scale and offset free, and a variance head that learned the noise of one
replicate knows nothing of the network's own error. Fitted here, arms can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from training.evaluation.metrics import Floats

_BOUND = 12.0
"""Largest and smallest logarithm of a share of variance, relative to the residuals'."""


@dataclass(frozen=True, slots=True)
class Affine:
    """y = offset + scale * f."""

    scale: float
    offset: float

    @classmethod
    def fit(cls, f: Floats, y: Floats) -> Affine:
        """Least squares over predictions and labels, each (n,); scale 0 for a constant f."""
        spread = float(np.var(f))
        if spread <= 1e-12 * max(1.0, float(np.mean(f)) ** 2):
            return cls(0.0, float(y.mean()))
        scale = float(np.mean((f - f.mean()) * (y - y.mean()))) / spread
        return cls(scale, float(y.mean() - scale * f.mean()))

    def __call__(self, f: Floats) -> Floats:
        """Calibrated predictions."""
        return self.offset + self.scale * f


@dataclass(frozen=True, slots=True)
class Width:
    """sigma^2 = floor + slope * exp(log_var), or the floor alone."""

    floor: float
    slope: float

    @classmethod
    def fit(cls, residual: Floats, log_var: Floats | None) -> Width:
        """Maximum Gaussian likelihood of residuals (n,), both coefficients non-negative.

        Args:
          residual: calibrated.
          log_var: (n,) of the variance head; None gives the one variance of all.
        """
        total = float(np.mean(residual**2))
        if log_var is None:
            return cls(total, 0.0)
        head = np.exp(log_var)
        unit = float(head.mean())
        shares, squares = head / unit, residual**2 / total

        def loss(theta: Floats) -> tuple[float, Floats]:
            floor, slope = np.exp(theta)
            variance = floor + slope * shares
            pull = (1 - squares / variance) / variance
            gradient = np.array([floor * pull.mean(), slope * (pull * shares).mean()])
            return float(np.mean(np.log(variance) + squares / variance)), gradient

        start = np.log([0.5, 0.5])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * 2)
        floor, slope = np.exp(found.x)
        return cls(float(floor) * total, float(slope) * total / unit)

    def __call__(self, log_var: Floats | None, n: int) -> Floats:
        """SD (n,)."""
        variance = np.full(n, self.floor)
        if log_var is not None:
            variance += self.slope * np.exp(log_var)
        sd: Floats = np.sqrt(variance)
        return sd
