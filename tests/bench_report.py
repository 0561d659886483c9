"""`varsigma triage --report` of a list: seconds of scoring, seconds and size of the page.

The command is the one that users run, on random single-base changes of the sequence in `examples/`;
the seconds are those that it prints. `make bench-report` fails where the page takes
longer, or is larger, than was promised.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from service.reference import Reference
from service.report.maps import SPAN
from tests.commands import Broken, run_varsigma, verdict

REFERENCE = Path(__file__).parents[1] / "examples/chr17.hg19.part.fa"
MAX_SECONDS = 20.0
"""Of the page of 200 variants, on two cores, beyond scoring."""
MAX_BYTES = 15e6

_HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
_SAID = re.compile(r"changes scored in ([\d.]+) s; page drawn in ([\d.]+) s")


def vcf(path: Path, n: int) -> Path:
    """Write n single-base changes, far enough apart that maps of the usual span share nothing."""
    rng = np.random.default_rng(0)
    with Reference.open(REFERENCE, "GRCh37") as reference:
        sequence = reference.codes("chr17", 0, 40_000)
    places = np.sort(rng.choice(np.arange(300, 39_700, SPAN + 1), n, replace=False))
    with path.open("w") as file:
        file.write(_HEAD)
        for number, place in enumerate(places.tolist()):
            ref = int(sequence[place])
            alt = (ref + 1 + int(rng.integers(3))) % 4
            file.write(f"chr17\t{place + 1}\tv{number}\t{'ACGTN'[ref]}\t{'ACGT'[alt]}\t.\t.\t.\n")
    return path


def main() -> None:
    """Triage with a report, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--map-span", type=int, default=SPAN)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with verdict(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "report.html"
        started = time.perf_counter()
        said = run_varsigma(
            "triage", vcf(folder / "in.vcf", options.variants), "--reference", REFERENCE,
            "--assembly", "GRCh37", "--model", options.model, "--compare", "--threads",
            options.threads, "--map-span", options.map_span, "-o", folder / "out.tsv",
            "--report", page,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        found = _SAID.search(said)
        if found is None:
            raise Broken(f"the command did not say how long it took: {said[-500:]}")
        maps, drawing = map(float, found.groups())
        text = page.read_text()
        print(
            f"{options.variants} variants, maps of {options.map_span} bases, {options.model},"
            f" {options.threads} threads: {seconds:.1f} s in all, of which {maps:.1f} s scoring the"
            f" maps, {seconds - maps - drawing:.1f} s start-up and scoring the list, and"
            f" {drawing:.1f} s the page ({1000 * drawing / options.variants:.0f} ms a variant),"
            f" {len(text) / 1e6:.1f} MB"
        )
        if text.count("<article") != options.variants:
            raise Broken(f"{text.count('<article')} variants are on the page")
        if drawing > MAX_SECONDS * max(options.variants / 200, 1):
            raise Broken(f"the page took {drawing:.1f} s, more than {MAX_SECONDS:g} s")
        if len(text) > MAX_BYTES * max(options.variants / 200, 1):
            raise Broken(f"the page has {len(text) / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g} MB")


if __name__ == "__main__":
    main()
