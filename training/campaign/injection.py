"""Noise injection: synthetic noise of known size on training labels.

`training labels, level, seed -> noisier training labels`. It shows from which noise on a
noise-resistant arm is worth its trouble: the noise is known exactly and differs between labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.batches import LabelledSequences, typical_variance
from training.trainer import Variation

LEVELS = (0.5, 1.0, 2.0)
"""Root mean square of the injected noise, in SDs of the assay's activity."""
SPREAD = 0.75
"""SD of the log of a label's noise: its 90th percentile is about seven times its 10th."""


@dataclass(frozen=True)
class Injection:
    """Gaussian noise on every training label, of an SD that differs between labels.

    A label gets N(0, s^2) with s = level * g in units of the activity's SD; g is lognormal with
    E[g^2] = 1, drawn once for each label. s^2 joins the label's variance, and with it the noise
    that losses and samplers read: of the injected part they are told exactly how large it is.
    Validation and test labels stay as they were measured.

    Attributes:
      level: root mean square of s.
    """

    level: float

    def apply(self, data: LabelledSequences, seed: int) -> LabelledSequences:
        """Noisier labels: a function of seed and level, the same for every recipe."""
        rng = np.random.default_rng([seed, round(1000 * self.level)])
        shape = data.activity.shape
        spread = self.level * np.exp(SPREAD * rng.standard_normal(shape) - SPREAD**2)
        noise = spread * rng.standard_normal(shape)
        variance = (data.variance + spread**2).astype(np.float32)
        return replace(
            data,
            activity=(data.activity + noise).astype(np.float32),
            variance=variance,
            typical=typical_variance(variance),
        )

    @property
    def variation(self) -> Variation:
        """As the trainer takes it; the name ends the names of folders: `noise0.5`."""
        return Variation(f"noise{self.level:g}", self.apply)
