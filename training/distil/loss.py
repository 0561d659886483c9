"""What a student is held to: members' means, their differences between alleles, their noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss
from training.losses.regression import variance_error


@dataclass(frozen=True)
class Distillation(Loss):
    """E + difference * D + spread * (S + S_d) / 2 + log_var * mean (s - s_t)^2.

    t and s_t are the mean and the log-variance of a member of the teacher, the `activity` and the
    logarithm of the `variance` of a batch. What is served is the mean over members, so E and D are
    of that alone: m of the student's heads, m_t of the teacher's members. E is the mean of
    (m - m_t)^2. D is about what variant effects are: the mean of
    [(m_j - m_i) - (m_tj - m_ti)]^2 over pairs of a sequence and its mutated copy, adjacent rows,
    over the mean of (m_tj - m_ti)^2. So it is the share of the teacher's differences that is
    missed, however small these are beside the spread of activities.

    S and S_d ask the same of how members differ: the mean squared error of each head's deviation
    from the mean over heads, over the mean square of the teacher's, for sequences and for the
    differences of pairs. Where heads all say the mean both are 1, and no other term sees it. The
    epistemic SD rests on them.

    Attributes:
      difference: weight of D.
      spread: weight of S and S_d; of no use with one member.
      log_var: weight of the error in log-variance.
      n_members: M, of the teacher; whoever trains a student sets it.
    """

    needs_variance: ClassVar[bool] = True
    needs_pairs: ClassVar[bool] = True

    difference: float = 0.1
    spread: float = 0.1
    log_var: float = 0.1
    n_members: int = 1

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse`, `difference`, `spread` and `variance`."""
        mean, deviation = self._parts(prediction.mu)
        its_mean, its_deviation = self._parts(batch.activity)
        missed = share_missed(_differences(mean), _differences(its_mean))
        apart = share_missed(deviation, its_deviation)
        apart_of_pairs = share_missed(_differences(deviation), _differences(its_deviation))
        return {
            "mse": ((mean - its_mean) ** 2).mean(),
            "difference": self.difference * missed,
            "spread": self.spread * (apart + apart_of_pairs) / 2,
            "variance": self.log_var * variance_error(prediction, batch, "log"),
        }

    def _parts(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(N, M T) -> the mean over members (N, 1, T) and deviations from it (N, M, T)."""
        by_member = values.reshape(len(values), self.n_members, -1)
        mean = by_member.mean(dim=1, keepdim=True)
        return mean, by_member - mean


def share_missed(values: Tensor, taught: Tensor) -> Tensor:
    """Mean squared error over the mean square of what is taught; 1 for values of 0."""
    return ((values - taught) ** 2).mean() / (taught**2).mean().clamp(min=1e-12)


def _differences(values: Tensor) -> Tensor:
    """(N, ...) -> (N / 2, ...): of adjacent rows, the second less the first."""
    return values[1::2] - values[::2]
