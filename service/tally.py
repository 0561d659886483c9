"""Counts over the lines of a file, of which parts add up to the whole."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.assemblies import ADVICE
from service.errors import Status, WrongAssemblyError
from service.novelty import ORDINARY
from service.records import Passed, Record
from service.scoring import Scores

EXAMPLES = 3
"""Problems and contigs that are kept to be shown."""

# So many ALTs whose REF was compared say enough about the assembly.
ENOUGH = 1000


@dataclass
class Tally:
    """Counts over lines; those of parts add up to those of the whole.

    Attributes:
      n_lines: lines, blank ones among them, those of the header not.
      n_records: records, the malformed ones not among them.
      n_malformed: lines that are no valid record.
      counts: ALTs per status; a record without ALT counts once.
      n_novel: scored ALTs whose sequence is unlike what the model learnt from.
      problems: the first few malformed lines: line number (1-based) and what is wrong.
      unknown_contigs: the first few names that the reference does not have.
    """

    n_lines: int = 0
    n_records: int = 0
    n_malformed: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    problems: list[tuple[int, str]] = field(default_factory=list)
    unknown_contigs: list[str] = field(default_factory=list)
    n_novel: int = 0

    def add_chunk(self, lines: Sequence[Record | Passed], scores: Scores) -> None:
        """Count lines with N ALTs together, and the scores of those."""
        passed = [line for line in lines if isinstance(line, Passed)]
        malformed = [(line.number, line.problem) for line in passed if line.problem is not None]
        self.n_lines += len(lines)
        self.n_records += len(lines) - len(passed)
        self.n_malformed += len(malformed)
        self.problems = [*self.problems, *malformed][:EXAMPLES]
        self.counts.update(scores.status)
        self.n_novel += int(np.count_nonzero(scores.novel_as != ORDINARY))
        if Status.UNKNOWN_CONTIG in scores.status:
            self._add_unknown(lines, scores.status)

    def _add_unknown(self, lines: Sequence[Record | Passed], statuses: Sequence[Status]) -> None:
        contigs = (
            variant.contig
            for line in lines
            if isinstance(line, Record)
            for variant in line.variants
        )
        unknown = (
            contig
            for contig, status in zip(contigs, statuses, strict=True)
            if status is Status.UNKNOWN_CONTIG
        )
        self.unknown_contigs = _first([*self.unknown_contigs, *unknown])

    def merged(self, other: "Tally", line_offset: int = 0) -> "Tally":
        """Return the counts of these lines and the other ones after them.

        Args:
          other: counts of later lines.
          line_offset: what to add to their line numbers.
        """
        later = [(number + line_offset, problem) for number, problem in other.problems]
        return Tally(
            n_lines=self.n_lines + other.n_lines,
            n_records=self.n_records + other.n_records,
            n_malformed=self.n_malformed + other.n_malformed,
            counts=self.counts + other.counts,
            problems=[*self.problems, *later][:EXAMPLES],
            unknown_contigs=_first([*self.unknown_contigs, *other.unknown_contigs]),
            n_novel=self.n_novel + other.n_novel,
        )

    @property
    def n_alts(self) -> int:
        """Outputs: one per ALT, one per record without ALT."""
        return self.counts.total()

    @property
    def n_scored(self) -> int:
        """ALTs with a score."""
        return self.counts[Status.OK]

    @property
    def n_mismatched(self) -> int:
        """ALTs whose REF differs from the reference."""
        return self.counts[Status.REF_MISMATCH]

    @property
    def n_compared(self) -> int:
        """ALTs whose REF was compared with the reference and, where it agreed, scored."""
        return self.n_mismatched + self.n_scored

    @property
    def has_scored_nothing(self) -> bool:
        """Whether there were ALTs and not one of them could be scored."""
        return self.n_scored == 0 and self.n_alts > self.counts[Status.NO_ALT]


def check_assembly(tally: Tally, share: float) -> None:
    """Stop a run on the wrong genome before it has taken the night.

    Args:
      tally: of what was scored so far.
      share: of REF mismatches from which on to stop; 1 never stops.

    Raises:
      WrongAssemblyError: there are as many, among 1,000 ALTs or more whose REF was compared.
    """
    compared, mismatched = tally.n_compared, tally.n_mismatched
    if share < 1 and compared >= ENOUGH and mismatched >= share * compared:
        raise WrongAssemblyError(
            f"REF differs from the reference in {mismatched:,} of {compared:,} ALTs"
            f" ({mismatched / compared:.1%}): wrong assembly? {ADVICE}",
            detail={"compared": compared, "mismatched": mismatched},
        )


def _first(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))[:EXAMPLES]
