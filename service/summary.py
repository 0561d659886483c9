"""What became of a file: its counts, warnings, exit code, and how to show them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.errors import Status
from service.novelty import LEVEL
from service.session import CUDA
from service.tables import MALFORMED
from service.tally import EXAMPLES, Tally
from service.texts import fit

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INCOMPLETE = 3
EXIT_DOUBTFUL = 4


@dataclass(frozen=True)
class Summary:
    """What became of a file.

    Attributes:
      provenance: what made the scores.
      tally: the counts.
      is_rescored: whether VARSIGMA_ fields of an earlier run were replaced.
      seconds: wall time.
      gaps: parts of the input that are missing in the output, one text for each.
    """

    provenance: Mapping[str, Any]
    tally: Tally
    is_rescored: bool = False
    seconds: float = 0.0
    gaps: Sequence[str] = ()

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
        return f"intervals of single-base changes calibrated for {', '.join(calibrated)}{rest}"

    @property
    def exit_code(self) -> int:
        """0 complete; 3 incomplete; 4 complete, but with malformed lines or without any score."""
        if self.gaps:
            return EXIT_INCOMPLETE
        is_doubtful = self.tally.n_malformed or self.tally.has_scored_nothing
        return EXIT_DOUBTFUL if is_doubtful else EXIT_OK

    @property
    def rate(self) -> float:
        """ALTs per second."""
        return self.tally.n_alts / self.seconds if self.seconds else 0.0

    def as_dict(self, *, mismatch_share: float) -> dict[str, Any]:
        """Return everything that `show` prints, as JSON types.

        Args:
          mismatch_share: as in `warnings`.
        """
        tally = self.tally
        return {
            "exit_code": self.exit_code,
            "n_lines": tally.n_lines,
            "n_records": tally.n_records,
            "n_alts": tally.n_alts,
            "n_scored": tally.n_scored,
            "n_novel": tally.n_novel,
            "n_malformed": tally.n_malformed,
            "counts": {status.value: tally.counts[status] for status in Status},
            "problems": [{"line": number, "problem": text} for number, text in tally.problems],
            "unknown_contigs": tally.unknown_contigs,
            "gaps": list(self.gaps),
            "warnings": list(self.warnings(mismatch_share)),
            "is_rescored": self.is_rescored,
            "seconds": round(self.seconds, 3),
            "variants_per_second": round(self.rate, 1),
            "provenance": dict(self.provenance),
        }

    def warnings(self, mismatch_share: float) -> Iterator[str]:
        """Yield one line for each thing that a user should look into.

        Args:
          mismatch_share: share of REF mismatches, among ALTs whose REF was compared, from which
            the assembly is in doubt.
        """
        tally = self.tally
        if self.gaps:
            yield f"incomplete: {'; '.join(self.gaps)}"
        if not (tally.n_alts or tally.n_malformed or self.gaps):
            yield "the input has no records: there was nothing to score"
        if tally.has_scored_nothing:
            status, count = tally.counts.most_common(1)[0]
            yield (
                f"nothing was scored: {count} of {tally.n_alts} ALTs are {status} ({status.reason})"
            )
        if tally.counts[Status.UNKNOWN_CONTIG]:
            names = ", ".join(tally.unknown_contigs)
            more = ", ..." if len(tally.unknown_contigs) == EXAMPLES else ""
            yield f"contigs that the reference does not have: {names}{more}"
        mismatched, compared = tally.n_mismatched, tally.n_compared
        if mismatched and mismatched >= mismatch_share * compared:
            yield (
                f"REF differs from the reference in {mismatched} of {compared} ALTs"
                f" ({100 * mismatched / compared:.3g}%): wrong assembly? Check --reference"
            )
        if tally.n_malformed:
            lines = "; ".join(f"line {number}: {problem}" for number, problem in tally.problems)
            more = "; ..." if tally.n_malformed > len(tally.problems) else ""
            yield f"{tally.n_malformed} malformed records passed through unscored: {lines}{more}"
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
        tally = self.tally
        table = Table("status", "ALTs", "meaning", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for status in Status:
            if count := tally.counts[status]:
                table.add_row(status.value, f"{count:,}", status.reason)
        if tally.n_malformed:
            table.add_row(MALFORMED, f"{tally.n_malformed:,}", "lines passed through unscored")
        console.print(table)
        console.print(
            f"{tally.n_records:,} records, {tally.n_alts:,} ALTs, {tally.n_scored:,} scored in"
            f" {self.seconds:.1f} s ({self.rate:,.0f} variants/s)"
        )
        console.print(escape(self._device(device)), soft_wrap=True)
        console.print(
            escape(
                f"model {self.provenance['model']}, {self._calibration()}; {self.provenance['use']}"
            ),
            soft_wrap=True,
        )
        if tally.n_novel:
            console.print(
                f"{tally.n_novel:,} of {tally.n_scored:,} scored ALTs lie in sequence unlike what"
                f" the model learnt from (novelty < {LEVEL:g})",
                soft_wrap=True,
            )
        for warning in self.warnings(mismatch_share):
            console.print(f"warning: {escape(fit(warning))}", style="yellow", soft_wrap=True)
