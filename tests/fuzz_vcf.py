"""Broken, odd and hostile VCF lines: no crash, no hang, and not one line lost.

`python -m tests.fuzz_vcf --lines 100000` sends lines two ways:
* mutations: made at random from records of every kind, in files, through the command
  `varsigma score`, to VCF and to TSV;
* guided: atheris, where it is installed, mutates lines towards code that was not reached before
  and sends them through the same stages in memory.

What must come out is said here, without the parser of the service. Each line has its own line in
the VCF, the same but for the end of INFO, with one value per ALT in each of our fields. Each ALT
has its own row in the TSV, and one in the rejects if it was not scored. A batch that breaks a
promise is cut down to one line that does.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.commands import Broken, varsigma, verdict
from tests.service.familiar import entry
from tests.synthetic import EVERY_KIND, Genome, records
from tests.toy_models import BACKGROUND, write_model

if TYPE_CHECKING:
    from service.scoring import Scorer

HEADER = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts0\n"
MALFORMED = "malformed_record"
LARGEST_POS = 2**31 - 1
PREFIX = b"VARSIGMA_"
# The command ends with 4 where malformed lines were among those it wrote.
EXIT_CODES = {0, 4}
TIME_LIMIT = 120.0
"""Seconds for one batch, and far more than it takes: what exceeds them hangs."""
_BATCH = 20_000
_FIRST = HEADER.count(b"\n") + 1  # number of the first line after the header
_GUIDED_LINES = 64

Outputs = tuple[bytes, bytes, bytes]
"""What a batch of lines became, without headers: VCF, TSV, rejects."""


# --- what must come out --------------------------------------------------------------------------


def is_blank(line: bytes) -> bool:
    """Whether a line is nothing but its end."""
    return not line.rstrip(b"\r\n")


def alts_of(line: bytes) -> list[bytes] | None:
    """Return the ALTs of a line, None where it is no record."""
    columns = line.removesuffix(b"\n").removesuffix(b"\r").split(b"\t")
    if len(columns) < 8 or line.startswith(b"#"):
        return None
    pos, ref, alt = columns[1], columns[3], columns[4]
    is_number = 0 < len(pos) <= 10 and all(byte in b"0123456789" for byte in pos)
    if not is_number or int(pos) > LARGEST_POS or not ref or not alt:
        return None
    return alt.split(b",")


def check_outputs(lines: Sequence[bytes], outputs: Outputs) -> Counter[str]:
    """Compare a batch with what came out; return the statuses.

    Raises:
      Broken: a line or an ALT is missing, or anything changed but the end of INFO.
    """
    vcf, tsv, rejects = (output.split(b"\n") for output in outputs)
    if vcf.pop() or len(vcf) != len(lines):
        raise Broken(f"{len(lines)} lines went in, {len(vcf)} came out")
    if tsv.pop() or rejects.pop() or any(b"\r" in table for table in outputs[1:]):
        raise Broken("a row of a table has no end, or a line end inside")
    expected = [
        (number, row)
        for number, (line, out) in enumerate(zip(lines, vcf, strict=True), _FIRST)
        for row in check_line(line, out + b"\n")
    ]
    rejected = [(number, row) for number, row in expected if row[-1] != "ok"]
    if (len(tsv), len(rejects)) != (len(expected), len(rejected)):
        raise Broken(
            f"{len(expected)} and {len(rejected)} rows should be in the table and the rejects,"
            f" {len(tsv)} and {len(rejects)} are"
        )
    n_tabs = tsv[0].count(b"\t") if tsv else 0
    for row, (_, wanted) in zip(tsv, expected, strict=True):
        check_row(row, wanted, n_tabs)
    for row, (number, wanted) in zip(rejects, rejected, strict=True):
        found, _, rest = row.partition(b"\t")
        if found != str(number).encode():
            raise Broken(f"line {number} is line {found!r} in the rejects: {row[:200]!r}")
        check_row(rest.rpartition(b"\t")[0], wanted, 6)
    return Counter(row[-1] for _, row in expected)


Row = tuple[list[bytes], bytes, int, str]
"""Of the table: CHROM POS ID REF, ALT, its number from 1, its status."""


def check_line(line: bytes, out: bytes) -> list[Row]:
    """Compare a line with what it became in the VCF; return its rows of the table.

    Raises:
      Broken: more than INFO differs, or INFO is not what it must be.
    """
    alts = alts_of(line)
    if alts is None:
        if out != line:
            raise Broken(f"no record, but it changed: {line[:200]!r} -> {out[:200]!r}")
        return [] if is_blank(line) else [([], b"", 0, MALFORMED)]
    eol = b"\r\n" if line.endswith(b"\r\n") else b"\n"
    columns, new = (text.removesuffix(eol).split(b"\t") for text in (line, out))
    if not out.endswith(eol) or new[:7] + new[8:] != columns[:7] + columns[8:]:
        raise Broken(f"more than INFO changed: {line[:200]!r} -> {out[:200]!r}")
    kept = b";".join(part for part in columns[7].split(b";") if not part.startswith(PREFIX))
    # What holds nothing of ours stays to the byte, odd semicolons too.
    kept = columns[7] if PREFIX not in columns[7] else kept
    start = b"" if kept in {b"", b"."} else kept if kept.endswith(b";") else kept + b";"
    if not new[7].startswith(start + PREFIX + b"STATUS="):
        raise Broken(f"INFO {columns[7][:200]!r} became {new[7][:200]!r}")
    fields = dict(part.partition(b"=")[::2] for part in new[7][len(start) :].split(b";"))
    values = {key: value.split(b",") for key, value in fields.items()}
    for key, texts in values.items():
        if not key.startswith(PREFIX) or len(texts) != len(alts):
            raise Broken(f"{key!r} has {len(texts)} values for {len(alts)} ALTs: {line[:200]!r}")
    statuses = [text.decode() for text in values.pop(PREFIX + b"STATUS")]
    for status, name in zip(statuses, values.pop(PREFIX + b"NOVEL_AS"), strict=True):
        if name != b"." and (status != "ok" or not re.fullmatch(b"[a-z_]+", name)):
            raise Broken(f"{status} and novel as {name!r}: {line[:200]!r}")
    for key in [key for key in values if key.endswith(b"_CALIBRATED")]:
        check_flags(key, values.pop(key), statuses)
    for key in [key for key in values if key.endswith(b"_OCCLUSION")]:
        check_occlusion(key, values.pop(key), statuses)
    texts_of = [list(texts) for texts in zip(*values.values(), strict=True)]
    for status, texts, alt in zip(statuses, texts_of, alts, strict=True):
        numbers = [text for text in texts if b":" not in text]
        is_scored = all(_is_number(text) for text in numbers)
        if not numbers or is_scored is not (status == "ok"):
            raise Broken(f"{alt[:50]!r} is {status} and has {texts[:5]!r}: {line[:200]!r}")
    return [
        (columns[:4], alt, number, status)
        for number, (alt, status) in enumerate(zip(alts, statuses, strict=True), 1)
    ]


def check_occlusion(key: bytes, texts: list[bytes], statuses: list[str]) -> None:
    """A scored ALT may lack it: it is of single-base changes, where a calibration reads it."""
    for status, text in zip(statuses, texts, strict=True):
        if text != b"." and (status != "ok" or not _is_number(text)):
            raise Broken(f"{status} and {key!r} {text!r}")


def check_flags(key: bytes, flags: Sequence[bytes], statuses: Sequence[str]) -> None:
    """Hold that a scored ALT says whether its numbers are calibrated, and no other does."""
    for status, flag in zip(statuses, flags, strict=True):
        if flag not in ({b"true", b"false"} if status == "ok" else {b"."}):
            raise Broken(f"{status} and {key!r} is {flag!r}")


def check_row(row: bytes, wanted: Row, n_tabs: int) -> None:
    """Compare a row of the table with its ALT.

    Raises:
      Broken: it is another's.
    """
    start, alt, number, status = wanted
    columns = row.split(b"\t")
    if len(columns) - 1 != n_tabs:
        raise Broken(f"a row has {len(columns)} columns, not {n_tabs + 1}: {row[:200]!r}")
    if number == 0:
        is_right = columns[5] == b"0" and columns[6] == MALFORMED.encode()
    else:
        # A row is one line: what ends one inside a column cannot stand there as it is.
        is_copied = all(
            b"\r" in old or new == old for old, new in zip((*start, alt), columns, strict=False)
        )
        is_right = is_copied and columns[5:7] == [str(number).encode(), status.encode()]
    if not is_right:
        raise Broken(f"ALT {number} {alt[:50]!r}, {status}, has the row {row[:200]!r}")


def _is_number(text: bytes) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# --- the two ways in -----------------------------------------------------------------------------


class Files:
    """The command, with files.

    Args:
      folder: for the files.
      options: more options of `varsigma score`.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self._folder = folder
        self._fasta, self._models = prepare(folder)
        self._options = options

    def __call__(self, lines: Sequence[bytes]) -> Outputs:
        """Score a batch.

        Raises:
          Broken: the command failed or took too long.
        """
        vcf = self._folder / "in.vcf"
        vcf.write_bytes(HEADER + b"".join(lines))
        outputs = [self._folder / name for name in ("out.vcf", "out.tsv", "rejects.tsv")]
        summary = self._folder / "summary.json"
        self._run(vcf, outputs[0], "--rejects", outputs[2], "--summary", summary)
        self._run(vcf, outputs[1])
        json.loads(summary.read_bytes())
        ends = (b"#CHROM", b"contig\t", b"line\t")
        return tuple(map(_payload, outputs, ends))

    def _run(self, vcf: Path, out: Path, *options: object) -> None:
        command = varsigma(
            *("score", vcf, "-o", out, "--reference", self._fasta, "--device", "cpu"),
            *("--models", self._models, "--model", "sum", "--mismatch-share", 1),
            *options,
            *self._options,
        )
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise Broken(f"no end after {TIME_LIMIT:.0f} s") from late
        if done.returncode not in EXIT_CODES:
            raise Broken(f"exit code {done.returncode}: {done.stderr[-1000:]}")


def _payload(path: Path, last_of_header: bytes) -> bytes:
    """Take a file away; return what comes after the line that begins so."""
    content = path.read_bytes()
    path.unlink()
    start = content.index(b"\n" + last_of_header) if not content.startswith(last_of_header) else 0
    return content[content.index(b"\n", start + 1) + 1 :]


class Stages:
    """Parsing, scoring and encoding, in memory.

    Args:
      scorer: of the toy model.
    """

    def __init__(self, scorer: Scorer) -> None:
        # Imported here, so that the guided way can have them instrumented.
        from service.records import Record, parse_line  # noqa: PLC0415
        from service.rejects import RejectsEncoder, shift_lines  # noqa: PLC0415
        from service.tables import TsvEncoder  # noqa: PLC0415
        from service.vcf import VcfEncoder  # noqa: PLC0415

        self._scorer = scorer
        self._parse = parse_line
        self._record = Record
        targets, provenance = scorer.model.info.targets, scorer.provenance()
        self._encoders = (
            VcfEncoder(targets, coverage=scorer.options.coverage, provenance=provenance),
            TsvEncoder(targets, provenance=provenance),
            RejectsEncoder(),
        )
        self._shift = shift_lines

    @classmethod
    def open(cls, folder: Path) -> Stages:
        """Make files in a folder and open them."""
        from service.reference import Reference  # noqa: PLC0415
        from service.registry import Registry  # noqa: PLC0415
        from service.scoring import Scorer  # noqa: PLC0415

        fasta, models = prepare(folder)
        return cls(Scorer(Registry(models).load("sum", threads=1), Reference.open(fasta)))

    def __call__(self, lines: Sequence[bytes]) -> Outputs:
        """Score a batch."""
        parsed = [self._parse(line, number) for number, line in enumerate(lines, 1)]
        scores = self._scorer.score(
            [
                variant
                for line in parsed
                if isinstance(line, self._record)
                for variant in line.variants
            ]
        )
        vcf, tsv, rejects = (encoder.lines(parsed, scores) for encoder in self._encoders)
        return vcf, tsv, self._shift(rejects, _FIRST - 1)


def prepare(folder: Path) -> tuple[Path, Path]:
    """Write the genome of the fuzzer and a toy model; return the FASTA and the folder of models."""
    fasta, models = GENOME.write(folder / "genome.fa"), folder / "models"
    write_model(models, card={"novelty": entry(width=20), "background": BACKGROUND})
    return fasta, models


GENOME = Genome.random(60_000, seed=3)


def score_and_check(score: Callable[[Sequence[bytes]], Outputs], lines: Sequence[bytes]) -> Counter:
    """Score a batch and compare; where that fails, find a line that is enough to fail.

    Raises:
      Broken: with that line.
    """
    try:
        return check_outputs(lines, score(lines))
    except Exception as error:  # whatever it is, a line is to blame
        if len(lines) == 1:
            raise Broken(
                f"{type(error).__name__}: {error}; the line: {lines[0][:2000]!r}"
            ) from error
        half = len(lines) // 2
        score_and_check(score, lines[:half])
        score_and_check(score, lines[half:])
        raise Broken(f"{len(lines)} lines fail together, not apart: {error}") from error


# --- lines ---------------------------------------------------------------------------------------

_CHROMS = [
    b"", b".", b"#", b"##INFO=<ID=X>", b"CHR1", b"chrchr1", b"M", b"chrMT", b"chr1:1-50", b"chr1 ",
    b"\x00", b"\xff\xfe", "chr\u00e9".encode(), b"c" * 5000, b"NC_000001.10", b"%s", b"*", b"=",
]  # fmt: skip
_POSITIONS = [
    b"", b"0", b"1", b"-1", b"+1", b"007", b"2147483647", b"2147483648", b"9" * 30, b"0" * 30,
    b"1e3", b"1.0", b"0x10", b" 12", b"12 ", b"1_0", b".", "\u0663".encode(), "\u00b2".encode(),
    b"60000", b"149", b"150", b"151",
]  # fmt: skip
_ALLELES = [
    b"", b".", b"..", b"*", b"**", b"<", b">", b"<>", b"<DEL", b"<DEL>", b"<NON_REF>", b"<*>",
    b"<DUP:TANDEM>", b"[", b"]", b"A[", b"]A", b"A[chr1:5[", b"]chr1:5]A", b"A.", b".A", b"N", b"n",
    b"a", b"acgtn", b"R", b"U", b"-", b"0", b"A A", b"A\r", b"A\x00", b"\xff", "\u00c5".encode(),
    b"%s", b"%", b"{}", b"A" * 60, b"C" * 300, b"A" * 5000, b"NNNN", b"AC" * 30, b"None", b"nan",
]  # fmt: skip
_INFOS = [
    b"", b".", b";", b";;", b".;", b"DP=1;", b";DP=1", b"VARSIGMA_", b"VARSIGMA_STATUS=ok",
    b"DP=3;VARSIGMA_STATUS=ok;VARSIGMA_K562_EFFECT=1,2;AF=.", b"VARSIGMA_NORM=1:A:C;.",
    b"XVARSIGMA_Y=1", b"A=VARSIGMA_", b"varsigma_x", b"%s%d%b%%", b"%", b"{}", b"A=\r", b"\r", b" ",
    b"=", b"A=1,2,3", b"\x00", b"\xff\xfe", b"x" * 20_000, b"VARSIGMA_A;;VARSIGMA_B",
]  # fmt: skip
_LINES = [
    b"", b"\r", b"\r\r", b" ", b"\t", b"\t" * 7, b"\t" * 8, b"#", b"#CHROM\tPOS", b"##x", b"\x00",
    b"\x1f\x8b", b"BCF\x02\x02", b"\xef\xbb\xbfchr1\t5\t.\tA\tC\t.\t.\t.", b"chr1 5 . A C . . .",
    b"chr1\t5\t.\tA\tC\t.\t.\t", b"chr1\t5\t.\tA\tC\t.\t.", b"chr1\t5\t.\tA\tC", b"a" * 100_000,
    b"VARSIGMA_STATUS=ok",
]  # fmt: skip
_BYTES = [
    b"\t",
    b",",
    b";",
    b"\r",
    b"\x00",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\x85",
    b"\xff",
    b"%",
    b"=",
]


def corpus(n: int = 3000) -> list[bytes]:
    """Return good records of every kind, without their line ends."""
    return [
        line.rstrip("\n").encode()
        for n_samples in (0, 2)
        for line in records(GENOME, n, mix=EVERY_KIND, n_samples=n_samples, seed=n_samples)
    ]


class Mutator:
    """Makes lines out of good ones."""

    def __init__(self, good: Sequence[bytes], seed: int) -> None:
        self._good = good
        self._random = random.Random(seed)

    def line(self) -> bytes:
        """Return one line with its end: good, or with up to five things done to it."""
        draw = self._random
        line = draw.choice(self._good)
        for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            line = self.mutated(line)
        return line.replace(b"\n", b" ") + draw.choice((b"\n", b"\n", b"\n", b"\r\n"))

    def mutated(self, line: bytes) -> bytes:
        """Do one thing to a line."""
        draw = self._random
        place = draw.randrange(len(line) + 1)
        before, after = line[:place], line[place:]
        changes: dict[float, Callable[[], bytes]] = {
            0.60: lambda: self._with_other_columns(line),
            0.63: lambda: draw.choice(_LINES),
            0.68: lambda: before,
            0.72: lambda: line + draw.choice((b"\t", b"\t.", b"\r", b" ", b"\t" + line)),
            0.82: lambda: before + draw.choice(_BYTES) + after,
            0.92: lambda: before + bytes([draw.randrange(256)]) + after[1:],
            1.00: lambda: before + after[draw.randrange(1, 9) :],
        }
        kind = draw.random()
        return next(change for share, change in changes.items() if kind < share)()

    def _with_other_columns(self, line: bytes) -> bytes:
        columns = line.split(b"\t")
        self._column(columns)
        return b"\t".join(columns)

    def _column(self, columns: list[bytes]) -> None:
        """Put something else into one column, or move columns about."""
        draw = self._random
        pools = {0: _CHROMS, 1: _POSITIONS, 3: _ALLELES, 4: _ALLELES, 7: _INFOS}
        column = draw.randrange(len(columns))
        kind = draw.random()
        if kind < 0.1:
            del columns[column]
        elif kind < 0.2:
            columns.insert(column, draw.choice((b"", b".", columns[column])))
        elif kind < 0.3:
            other = draw.randrange(len(columns))
            columns[column], columns[other] = columns[other], columns[column]
        elif len(columns) > 7:
            column = draw.choice(list(pools))
            columns[column] = draw.choice(pools[column])
            if column == 4:
                n = draw.choice((1, 1, 1, 2, 3, 8)) if draw.random() < 0.999 else 3000
                columns[4] = b",".join([columns[4], *draw.choices(_ALLELES[:38], k=n - 1)])


# --- coverage-guided -----------------------------------------------------------------------------


def guided(n_lines: int, seed: int, folder: Path) -> None:
    """Run atheris until so many lines went through; it ends the process."""
    import atheris  # noqa: PLC0415  (not everywhere)

    with atheris.instrument_imports(include=["service"], enable_loader_override=False):
        stages = Stages.open(folder)
    mutator = Mutator(corpus(300), seed)
    statuses: Counter[str] = Counter()
    started, n_done = time.perf_counter(), 0

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """Mutate one line of an input, add one, or let atheris have it."""
        lines = data.split(b"\n")[:_GUIDED_LINES]
        place = seed % (len(lines) + 1)
        if seed % 5 == 0:
            return atheris.Mutate(data, len(data))[:max_size]
        if place == len(lines):
            lines.append(mutator.line().rstrip(b"\n"))
        else:
            lines[place] = mutator.mutated(lines[place])
        return b"\n".join(lines)[:max_size]

    def one_input(data: bytes) -> None:
        nonlocal n_done
        lines = [line + b"\n" for line in data.split(b"\n")[:_GUIDED_LINES]]
        try:
            statuses.update(score_and_check(stages, lines))
        except Broken as broken:
            print(f"BROKEN: {broken}", file=sys.stderr, flush=True)
            os._exit(1)
        n_done += len(lines)
        if n_done >= n_lines:
            report("guided by coverage, in memory", n_done, statuses, started)
            sys.stdout.flush()
            os._exit(0)

    seeds = folder / "seeds"
    seeds.mkdir()
    for number in range(50):
        seeds.joinpath(str(number)).write_bytes(
            b"".join(mutator.line() for _ in range(8)).rstrip(b"\n")
        )
    options = (f"-timeout={TIME_LIMIT:.0f}", "-max_len=8192", f"-seed={seed}", "-verbosity=0")
    atheris.Setup([sys.argv[0], *options, str(seeds)], one_input, custom_mutator=mutate)
    atheris.Fuzz()


# --- the command ---------------------------------------------------------------------------------


def report(way: str, n_lines: int, statuses: Counter[str], started: float) -> None:
    """Print what went through."""
    seconds = time.perf_counter() - started
    met = ", ".join(f"{status} {count:,}" for status, count in statuses.most_common())
    print(
        f"{way}: {n_lines:,} lines, no crash, no hang, none lost; {len(statuses)} statuses met,"
        f" {seconds:.0f} s\n  {met}"
    )


def mutations(n_lines: int, seed: int, folder: Path, options: Sequence[str]) -> None:
    """Send mutated lines through the command, in batches.

    Raises:
      Broken: a promise was not kept.
    """
    score, mutator = Files(folder, options), Mutator(corpus(), seed)
    statuses: Counter[str] = Counter()
    started = time.perf_counter()
    for first in range(0, n_lines, _BATCH):
        lines = [mutator.line() for _ in range(min(_BATCH, n_lines - first))]
        statuses += score_and_check(score, lines)
    report("mutations, through the command", n_lines, statuses, started)


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=100_000, help="each way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=("mutations", "guided", "both"), default="both")
    parser.add_argument("score", nargs="*", help="after --, more options of varsigma score")
    given = parser.parse_args()
    with verdict(), tempfile.TemporaryDirectory() as name:
        if given.way == "guided":
            guided(given.lines, given.seed, Path(name))
        mutations(given.lines, given.seed, Path(name), given.score)
        if given.way == "both":
            guide(given.lines, given.seed)


def guide(n_lines: int, seed: int) -> None:
    """Run the guided way in a process of its own, because atheris ends the one it runs in.

    Raises:
      Broken: a promise was not kept.
    """
    if find_spec("atheris") is None:
        print("guided by coverage: left out, atheris is not installed (pip install atheris)")
        return
    command = [sys.executable, "-m", "tests.fuzz_vcf", "--way", "guided"]
    command += ["--lines", str(n_lines), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        raise Broken(f"guided by coverage: {done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
