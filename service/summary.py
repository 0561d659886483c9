"""What became of a file: counts of each status, warnings, exit code, and how to show them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.errors import Status
from service.session import CUDA
from service.tables import MALFORMED
from service.vcf import Passed, Record

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_MALFORMED = 3
EXIT_NOTHING_SCORED = 4

_EXAMPLES = 3


@dataclass
class Summary:
    """Counts over one file.

    Attributes:
      provenance: what made the scores.
      is_rescored: whether VARSIGMA_ fields of an earlier run were replaced.
      counts: ALTs per status; a record without ALT counts once.
      n_records: records, the malformed ones not among them.
      n_malformed: lines that are no valid record.
      problems: the first few of those: line number (1-based) and what is wrong.
      unknown_contigs: the first few names that the reference does not have.
      seconds: wall time.
    """

    provenance: Mapping[str, Any]
    is_rescored: bool = False
    counts: Counter[Status] = field(default_factory=Counter)
    n_records: int = 0
    n_malformed: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    unknown_contigs: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, record: Record, statuses: Sequence[Status]) -> None:
        """Count one record's ALTs."""
        self.n_records += 1
        self.counts.update(statuses)
        if Status.UNKNOWN_CONTIG in statuses and len(self.unknown_contigs) < _EXAMPLES:
            contig = record.variants[0].contig
            if contig not in self.unknown_contigs:
                self.unknown_contigs.append(contig)

    def add_passed(self, line: Passed) -> None:
        """Count a line that is no record; a blank line counts as nothing."""
        if line.problem is not None:
            self.n_malformed += 1
            if len(self.problems) < _EXAMPLES:
                self.problems.append((line.number, line.problem))

    def _device(self, asked: str) -> str:
        providers = self.provenance["providers"]
        used = "cuda" if providers[0] == CUDA else "cpu"
        chosen = f"auto chose {used}" if asked == "auto" else used
        return f"device {chosen}: {', '.join(providers)}; {self.provenance['threads']} threads"

    def _calibration(self) -> str:
        calibrated = self.provenance["calibrated_targets"]
        if not calibrated:
            return "intervals NOT calibrated"
        others = [name for name in self.provenance["targets"] if name not in calibrated]
        rest = f", NOT for {', '.join(others)}" if others else ""
        return f"intervals calibrated for {', '.join(calibrated)}{rest}"

    @property
    def n_alts(self) -> int:
        """Outputs written: one per ALT, one per record without ALT."""
        return self.counts.total()

    @property
    def n_scored(self) -> int:
        """ALTs with a score."""
        return self.counts[Status.OK]

    @property
    def has_scored_nothing(self) -> bool:
        """Whether there were ALTs and not one of them could be scored."""
        return self.n_scored == 0 and self.n_alts > self.counts[Status.NO_ALT]

    @property
    def exit_code(self) -> int:
        """0 all accounted for; 4 there were ALTs but none was scored; 3 malformed records."""
        if self.has_scored_nothing:
            return EXIT_NOTHING_SCORED
        return EXIT_MALFORMED if self.n_malformed else EXIT_OK

    def warnings(self, mismatch_share: float) -> Iterator[str]:
        """Yield one line for each thing that a user should look into.

        Args:
          mismatch_share: share of REF mismatches, among ALTs whose REF was compared, from which
            the assembly is in doubt.
        """
        if self.has_scored_nothing:
            status, count = self.counts.most_common(1)[0]
            yield (
                f"nothing was scored: {count} of {self.n_alts} ALTs are {status} ({status.reason})"
            )
        if self.counts[Status.UNKNOWN_CONTIG]:
            names = ", ".join(self.unknown_contigs)
            more = ", ..." if len(self.unknown_contigs) == _EXAMPLES else ""
            yield f"contigs that the reference does not have: {names}{more}"
        mismatched = self.counts[Status.REF_MISMATCH]
        compared = mismatched + self.n_scored
        if mismatched and mismatched >= mismatch_share * compared:
            yield (
                f"REF differs from the reference in {mismatched} of {compared} ALTs"
                f" ({100 * mismatched / compared:.3g}%): wrong assembly? Check --reference"
            )
        if self.n_malformed:
            lines = "; ".join(f"line {number}: {problem}" for number, problem in self.problems)
            more = "; ..." if self.n_malformed > len(self.problems) else ""
            yield f"{self.n_malformed} malformed records passed through unscored: {lines}{more}"
        if self.provenance.get("assembly") is None:
            yield "the assembly is not stated; say --assembly GRCh37 or GRCh38 to have it checked"
        if self.is_rescored:
            yield "VARSIGMA_ fields of an earlier run were replaced"

    def show(self, console: Console, *, mismatch_share: float, device: str) -> None:
        """Print a table of counts, the rate, what made the scores, and the warnings.

        Args:
          console: where to.
          mismatch_share: as in `warnings`.
          device: as it was asked for: cpu, cuda or auto.
        """
        table = Table("status", "ALTs", "meaning", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for status in Status:
            if count := self.counts[status]:
                table.add_row(status.value, f"{count:,}", status.reason)
        if self.n_malformed:
            table.add_row(MALFORMED, f"{self.n_malformed:,}", "lines passed through unscored")
        console.print(table)
        rate = self.n_alts / self.seconds if self.seconds else 0.0
        console.print(
            f"{self.n_records:,} records, {self.n_alts:,} ALTs, {self.n_scored:,} scored in"
            f" {self.seconds:.1f} s ({rate:,.0f} variants/s)"
        )
        console.print(escape(self._device(device)), soft_wrap=True)
        console.print(
            escape(
                f"model {self.provenance['model']}, {self._calibration()}; {self.provenance['use']}"
            ),
            soft_wrap=True,
        )
        for warning in self.warnings(mismatch_share):
            console.print(f"warning: {escape(warning)}", style="yellow", soft_wrap=True)
