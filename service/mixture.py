"""Two normals with weights: one distribution of an effect per element of an array.

A variant either hardly matters or it does, and nobody knows which: the first component is the
narrow one, the second the wide one.
"""

from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats: TypeAlias = NDArray[np.float64]

_HALVINGS = 46
"""Of a bracket that two normal quantiles make: it ends 1e-14 of its width wide."""


@dataclass(frozen=True)
class Mixture:
    """(1 - weight) N(mean[0], sd[0]^2) + weight N(mean[1], sd[1]^2), element by element.

    Attributes:
      weight: (...) of the second component, 0 to 1.
      mean: (2, ...) of the components.
      sd: (2, ...) of the components, > 0; NaN where nothing is known.
    """

    weight: Floats
    mean: Floats
    sd: Floats

    @classmethod
    def normal(cls, mean: Floats, sd: Floats) -> Self:
        """One normal, as a mixture of two equal ones."""
        both = np.broadcast_to(mean, (2, *mean.shape))
        return cls(np.zeros(mean.shape), both, np.broadcast_to(sd, both.shape))

    def where(self, condition: NDArray[np.bool_], other: "Mixture") -> "Mixture":
        """This one where the condition (broadcast to the shape) holds, else the other."""
        return Mixture(
            *(
                np.where(condition, getattr(self, name), getattr(other, name))
                for name in ("weight", "mean", "sd")
            )
        )

    def rows(self, chosen: NDArray[np.bool_]) -> "Mixture":
        """The elements marked, of a mixture of shape (n,)."""
        return Mixture(self.weight[chosen], self.mean[:, chosen], self.sd[:, chosen])

    def widened(self, sd: Floats | float) -> "Mixture":
        """Distribution of the sum with an independent normal of mean 0 and this SD."""
        return Mixture(self.weight, self.mean, np.hypot(self.sd, sd))

    @property
    def expectation(self) -> Floats:
        """(...) mean of the whole distribution."""
        return self._average(self.mean)

    @property
    def total_sd(self) -> Floats:
        """(...) SD of the whole distribution."""
        deviation = self.mean - self.expectation
        sd: Floats = np.sqrt(self._average(np.square(self.sd) + np.square(deviation)))
        return sd

    def cdf(self, value: Floats) -> Floats:
        """P(X <= value), for each element."""
        return self._average(ndtr((value - self.mean) / self.sd))

    def density(self, value: Floats) -> Floats:
        """Probability density at a value, for each element."""
        z = (value - self.mean) / self.sd
        return self._average(np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * self.sd))

    def above_zero(self) -> Floats:
        """P(X > 0), for each element."""
        return self._average(ndtr(self.mean / self.sd))

    def has_sign(self, up: NDArray[np.bool_]) -> Floats:
        """P(X > 0) where `up`, else P(X < 0), for each element."""
        above = self.above_zero()
        return np.where(up, above, 1 - above)

    def tails(self, tail: Floats) -> tuple[Floats, Floats]:
        """The quantiles at `tail` and 1 - `tail`.

        Args:
          tail: broadcast to the shape, 0 < tail < 0.5.
        """
        mirrored = Mixture(self.weight, -self.mean, self.sd)
        # By the lower tail of both: 1 - tail would round to 1 for a small one.
        return self._quantile(tail), -mirrored._quantile(tail)

    def _quantile(self, probability: Floats) -> Floats:
        """By bisection: the quantile of a mixture lies between those of its components."""
        ends = self.mean + self.sd * ndtri(probability)
        low, high = ends.min(axis=0), ends.max(axis=0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            is_low = self.cdf(middle) < probability
            low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        return np.asarray((low + high) / 2)

    def _average(self, values: Floats) -> Floats:
        average: Floats = (1 - self.weight) * values[0] + self.weight * values[1]
        return average


def crps(value: Floats, mixture: Mixture) -> Floats:
    """Continuous ranked probability score of each observation, in its units; lower is better.

    E|X - y| - E|X - X'| / 2 with normal components in closed form: Grimit et al., Quarterly Journal
    of the Royal Meteorological Society 2006, eq. 5.
    """
    mean, sd = mixture.mean, mixture.sd
    weights = (1 - mixture.weight, mixture.weight)
    score = sum(w * _mean_absolute(value - mean[k], sd[k]) for k, w in enumerate(weights))
    for i, first in enumerate(weights):
        for j, second in enumerate(weights):
            spread = _mean_absolute(mean[i] - mean[j], np.hypot(sd[i], sd[j]))
            score = score - first * second * spread / 2
    return np.asarray(score)


def _mean_absolute(mean: Floats, sd: Floats) -> Floats:
    """E|X| of X normal with this mean and SD."""
    z = mean / sd
    expected: Floats = mean * (2 * ndtr(z) - 1) + sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * z * z)
    return expected
