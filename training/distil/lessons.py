"""What a teacher says of constructs and of their mutated copies: the batches of a student.

`members + constructs -> codes (2 n, 230), mu and log_var (2 n, M T)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from service.sequence import Codes
from training.architectures.student import taught
from training.assays import INSERT, UNMOVED, Assay, checked_offsets, window_codes
from training.augment import inside, move, move_each
from training.batches import EpochBatches, LabelledSequences, insert_spans, typical_variance
from training.distil.mutants import Mutants
from training.export import mixture_of
from training.losses.base import Batch
from training.members import Member, predict_constructs

Scalar = TypeVar("Scalar", bound=np.generic)
Labels = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Means and variances, (n, M T) each, on the standardised scale."""


class DistilError(ValueError):
    """Members that cannot teach, or a recipe that cannot learn from them."""


def head_numbers(members: Sequence[Member]) -> list[int]:
    """What tells the heads of a student apart: the seeds of the members that teach them.

    Members of several recipes may share a seed: theirs are 1 to M, in the order of the teacher.
    """
    is_mixed = mixture_of(members) is not None
    return [n if is_mixed else member.seed for n, member in enumerate(members, start=1)]


class Teacher:
    """M members that speak of T assays each.

    Args:
      members: of one table, and of one recipe or several.
      assays: those of theirs that are taught; all have the same flanks.
      offsets: as `training.export.ServedModel` moves constructs for these members.
      is_rounded: whether they answer in bfloat16; `make bench-precision` prints what that does to
        the differences between a sequence and its copy.
    """

    def __init__(
        self,
        members: Sequence[Member],
        assays: Sequence[Assay],
        *,
        offsets: Sequence[int] = UNMOVED,
        is_rounded: bool = False,
    ) -> None:
        self.members, self.assays = members, tuple(assays)
        self.offsets = checked_offsets(offsets)
        self.columns = [members[0].assays.index(assay) for assay in assays]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.is_rounded = is_rounded
        self.networks = [member.network.to(self.device) for member in members]

    def label(self, codes: Codes) -> Labels:
        """What each member says of (n, 230) codes of constructs, on average over the offsets.

        Averaged are means and log-variances.

        Raises:
          DistilError: a member that predicts no variance.
        """
        said = [self.label_still(move(codes, offset)) for offset in self.offsets]
        mean, log_var = (
            np.mean(parts, axis=0)
            for parts in zip(*((mu, np.log(variance)) for mu, variance in said), strict=True)
        )
        return mean, np.exp(log_var)

    def label_still(self, codes: Codes) -> Labels:
        """What each member says of (n, 230) codes of constructs where they stand.

        Raises:
          DistilError: a member that predicts no variance.
        """
        means, log_vars = [], []
        for member, network in zip(self.members, self.networks, strict=True):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.is_rounded):
                mu, log_var = predict_constructs(network, codes)
            if log_var is None:
                raise DistilError(f"members of {member.recipe} predict no variance")
            means.append(mu[:, self.columns])
            log_vars.append(log_var[:, self.columns])
        return np.concatenate(means, axis=1), np.exp(np.concatenate(log_vars, axis=1))

    def lessons(self, data: LabelledSequences) -> LabelledSequences:
        """The same inserts as the service would present them, under the labels of the teacher.

        A served model sees every insert between the adapters of its targets, with N around one
        that is shorter than the window: so does the student, whatever assay measured the insert.
        """
        flanks = self.assays[0].flanks
        lengths = np.diff(data.inserts, axis=1)
        start, _ = insert_spans([INSERT], flanks)[0]
        start = start + (INSERT - lengths) // 2
        inserts = np.concatenate([start, start + lengths], axis=1)
        codes, reverse_codes = (
            _moved(one, data.inserts, inserts, window_codes(["N" * INSERT], flanks))
            for one in (data.codes, data.reverse_codes)
        )
        mean, variance = self.label(codes)
        return replace(
            data,
            assays=taught(self.assays, head_numbers(self.members)),
            codes=codes,
            reverse_codes=reverse_codes,
            inserts=inserts,
            activity=mean,
            variance=variance,
            typical=typical_variance(variance),
            sd=np.tile(data.sd[self.columns], len(self.members)),
            replicated=np.zeros(mean.shape[1], dtype=np.bool_),
        )


def _moved(
    codes: Codes, before: NDArray[np.int64], after: NDArray[np.int64], blank: Codes
) -> Codes:
    """Inserts (n, 230) from one place (n, 2) in their window to another in a blank one (1, 230)."""
    at = np.arange(codes.shape[1]) + before[:, :1] - after[:, :1]
    is_insert = inside(after, codes.shape[1])
    return np.where(is_insert, np.take_along_axis(codes, np.where(is_insert, at, 0), axis=1), blank)


class TaughtBatches(EpochBatches):
    """Batches of constructs and mutated copies, in adjacent rows, with what the teacher says.

    As with `EpochBatches`, an epoch depends on (seed, epoch) alone. Of the constructs the teacher
    is asked once, in both orientations and at each of its offsets; of the copies, which are never
    the same, batch by batch. A pair has its labels at one offset, drawn anew in every epoch: both
    alleles in one pass, as wherever differences are taken, and the mean over offsets out of many.

    Args:
      data: constructs as `Teacher.lessons` presents them.
      teacher: whom to ask.
      mutants: the sampler.
      batch_size: rows a batch, half of them copies.
      seed: of order, orientation and mutations.
      epochs: of the whole run.
    """

    def __init__(
        self,
        data: LabelledSequences,
        teacher: Teacher,
        mutants: Mutants,
        *,
        batch_size: int,
        seed: int,
        epochs: int,
    ) -> None:
        super().__init__(data, mutants, batch_size, seed, epochs)
        self.teacher, self.mutants, self.n_pairs = teacher, mutants, batch_size // 2
        self.labels_of = [
            [teacher.label_still(move(codes, offset)) for codes in (data.codes, data.reverse_codes)]
            for offset in teacher.offsets
        ]

    def __len__(self) -> int:
        """Batches an epoch; a last one that would not be full is left out."""
        return len(self.data) // self.n_pairs

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `self.epoch`, each pair in a random orientation."""
        rng = np.random.default_rng([self.seed, self.epoch])
        # A generator of its own: with and without offsets, pairs are the same.
        places = np.random.default_rng([self.seed, self.epoch, 1])
        progress = self.epoch / self.epochs
        order = self.mutants.epoch(
            self.labels, batch_size=self.batch_size, progress=progress, rng=rng
        )
        for start in range(0, len(self) * self.n_pairs, self.n_pairs):
            rows = order[start : start + self.n_pairs]
            reverse = rng.random(len(rows)) < 0.5
            codes = self.data.oriented(rows, reverse)
            copies = self.mutants.copies(codes, self.data.inserts[rows], rng)
            drawn = places.integers(len(self.teacher.offsets), size=len(rows))
            of_constructs = self._labels_of(rows, reverse, drawn)
            of_copies = self.teacher.label_still(
                move_each(copies, np.array(self.teacher.offsets)[drawn])
            )
            mean, variance = map(_interleaved, of_constructs, of_copies)
            codes, copies = self.mutants.placed((codes, copies), places)
            yield Batch(
                codes=torch.from_numpy(_interleaved(codes, copies)),
                activity=torch.from_numpy(mean),
                variance=torch.from_numpy(variance),
                noise=torch.from_numpy(variance / self.data.typical),
                sd=torch.from_numpy(self.data.sd),
                replicated=torch.from_numpy(self.data.replicated),
                progress=torch.tensor(progress, dtype=torch.float32),
            )

    def _labels_of(
        self, rows: NDArray[np.integer], reverse: NDArray[np.bool_], drawn: NDArray[np.integer]
    ) -> Labels:
        """Labels of constructs (n,), each in its orientation and at the offset of its number."""
        found = [np.empty((len(rows), self.data.activity.shape[1]), np.float32) for _ in range(2)]
        for number, orientations in enumerate(self.labels_of):
            for is_reverse, labels in enumerate(orientations):
                here = (drawn == number) & (reverse == bool(is_reverse))
                for values, of_all in zip(found, labels, strict=True):
                    values[here] = of_all[rows[here]]
        mean, variance = found
        return mean, variance


def _interleaved(first: NDArray[Scalar], second: NDArray[Scalar]) -> NDArray[Scalar]:
    """Rows of two arrays (n, L) in turn: (2 n, L)."""
    return np.stack([first, second], axis=1).reshape(-1, first.shape[1])
