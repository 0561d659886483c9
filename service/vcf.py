"""VCF text: `bytes -> records`, and `records + scores -> bytes`.

Lines pass through: only INFO and the header grow, no other byte of a record is touched and sample
columns are never split. VARSIGMA_ fields of an earlier run are replaced by the new ones.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service import __version__
from service.errors import DecodingError, InputFileError, ModelContractError, Status
from service.fields import EFFECT_FIELDS, MISSING, interval_text, provenance_items
from service.variants import MAX_POS, Variant

PREFIX = "VARSIGMA_"
STATUS_KEY = f"{PREFIX}STATUS"

_N_FIXED = 8  # CHROM POS ID REF ALT QUAL FILTER INFO
_INFO = 7
_OURS = PREFIX.encode()
_OUR_HEADER = (b"##INFO=<ID=" + _OURS, b"##varsigma=")


@dataclass(frozen=True, slots=True)
class Record:
    """One data line.

    Attributes:
      number: **1-based** line number in the file.
      fields: the 8 fixed columns, then, if there is more, the rest of the line as one.
      eol: its own line end, empty for a last line without one.
      variants: one per ALT, in order.
    """

    number: int
    fields: list[bytes]
    eol: bytes
    variants: tuple[Variant, ...]

    @property
    def n_bytes(self) -> int:
        """Size of the line."""
        return sum(map(len, self.fields))


@dataclass(frozen=True, slots=True)
class Passed:
    """A line that is no record and passes through as it is.

    Attributes:
      number: **1-based** line number in the file.
      line: its bytes.
      problem: what is wrong with it, or None for a blank line.
    """

    number: int
    line: bytes
    problem: str | None

    @property
    def n_bytes(self) -> int:
        """Size of the line."""
        return len(self.line)


def parse_line(line: bytes, number: int) -> Record | Passed:
    r"""Read one line after the header.

    >>> record = parse_line(b"chr1\t7\t.\tA\tC,<DEL>\t.\tPASS\tDP=3\n", 12)
    >>> [str(variant) for variant in record.variants]
    ['chr1:7:A>C', 'chr1:7:A><DEL>']
    """
    eol = b"\r\n" if line.endswith(b"\r\n") else line[-1:] if line.endswith(b"\n") else b""
    body = line[: len(line) - len(eol)]
    if not body:
        return Passed(number, line, None)
    fields = body.split(b"\t", _N_FIXED)
    if problem := _problem(fields):
        return Passed(number, line, problem)
    contig, ref, alts = (fields[i].decode("utf-8", "replace") for i in (0, 3, 4))
    pos = int(fields[1])
    variants = tuple(Variant(contig, pos, ref, alt) for alt in alts.split(","))
    return Record(number, fields, eol, variants)


def _problem(fields: list[bytes]) -> str | None:
    if fields[0].startswith(b"#"):
        return "a header line after #CHROM"
    if len(fields) < _N_FIXED:
        return f"{len(fields)} of the {_N_FIXED} tab-separated columns that VCF asks for"
    pos = fields[1]
    if not pos.isdigit() or len(pos) > len(str(MAX_POS)) or int(pos) > MAX_POS:
        return f"POS {pos[:20].decode('ascii', 'replace')!r} is no integer from 0 to {MAX_POS}"
    if not fields[3]:
        return "REF is empty"
    return None if fields[4] else "ALT is empty"


class VcfReader:
    """The lines of a VCF, the header read on creation.

    Attributes:
      header: lines above #CHROM, VARSIGMA_ declarations of an earlier run left out.
      columns: the #CHROM line.
      is_rescored: whether an earlier run's declarations were there.

    Raises:
      DecodingError: it is no VCF.
      InputFileError: it is truncated.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        """Read lines up to #CHROM; `name` is what messages call the file."""
        self._name = name
        self._lines = iter(lines)
        self._number = 0
        self.header: list[bytes] = []
        self.is_rescored = False
        self.columns = self._read_header()

    def _read_header(self) -> bytes:
        for line in self._lines:
            self._number += 1
            if line.startswith(b"#CHROM"):
                return line
            if line.startswith(b"BCF\x02"):
                raise DecodingError(f"{self._name} is BCF; convert it: bcftools view -Oz")
            if not line.startswith(b"#"):
                break
            if line.startswith(_OUR_HEADER):
                self.is_rescored = True
            else:
                self.header.append(line)
        raise DecodingError(
            f"{self._name} is not a VCF, or is cut off: no #CHROM line among its first"
            f" {self._number} lines"
        )

    def __iter__(self) -> Iterator[Record | Passed]:
        """Yield every line after the header.

        Raises:
          InputFileError: the last line has no line end and lacks columns.
        """
        for line in self._lines:
            self._number += 1
            parsed = parse_line(line, self._number)
            if not line.endswith(b"\n"):
                self._check_last(line, parsed)
            yield parsed

    def _check_last(self, line: bytes, parsed: Record | Passed) -> None:
        lacks_columns = line.count(b"\t") < self.columns.count(b"\t")
        if lacks_columns or (isinstance(parsed, Passed) and parsed.problem):
            raise InputFileError(
                f"{self._name} is truncated: line {self._number}, the last, is cut off; copy the"
                " file again"
            )


class VcfEncoder:
    """Writes records with their scores as INFO fields.

    Args:
      targets: T names, in the order of the scores.
      coverage: of the interval.
      provenance: what made the scores, `calibrated_targets` among it; goes into the header.

    Raises:
      ModelContractError: two targets would share a field name.
    """

    def __init__(
        self, targets: Sequence[str], *, coverage: float, provenance: Mapping[str, Any]
    ) -> None:
        """Name the fields."""
        self._targets = targets
        self._coverage = coverage
        self._provenance = provenance
        self._keys = [info_key(target, field.name) for target in targets for field in EFFECT_FIELDS]
        if len(set(self._keys)) < len(self._keys):
            raise ModelContractError(
                f"targets {', '.join(targets)} differ by more than punctuation"
            )

    def header(self, reader: VcfReader) -> bytes:
        """Return the reader's header with our lines before #CHROM, in its own line ends."""
        eol = "\r\n" if reader.columns.endswith(b"\r\n") else "\n"
        ours = [
            *(
                f'##varsigma=<ID={key},Value="{_quoted(value)}">'
                for key, value in provenance_items(self._provenance)
            ),
            *self._declarations(),
        ]
        columns = reader.columns if reader.columns.endswith(b"\n") else reader.columns + b"\n"
        return b"".join(
            (*reader.header, "".join(f"{line}{eol}" for line in ours).encode(), columns)
        )

    def _declarations(self) -> Iterator[str]:
        statuses = ", ".join(f"{status.value} ({status.reason})" for status in Status)
        yield _declaration(STATUS_KEY, "String", f"What became of each ALT: {statuses}")
        calibrated = self._provenance.get("calibrated_targets", ())
        for target in self._targets:
            state = "calibrated" if target in calibrated else "uncalibrated"
            for field in EFFECT_FIELDS:
                meaning = field.meaning.format(interval=interval_text(self._coverage))
                known = f"{meaning}; {state}" if field.is_scaled else meaning
                yield _declaration(
                    info_key(target, field.name), "Float", f"{known}; assay target {target}"
                )

    def record(
        self, record: Record, statuses: Sequence[Status], rows: Sequence[Sequence[str]]
    ) -> bytes:
        """Return a record's line with one value per ALT appended to INFO.

        Args:
          record: A ALTs.
          statuses: A of them.
          rows: A rows of T x 8 texts.
        """
        values = [f"{STATUS_KEY}={','.join(statuses)}"]
        values += [
            f"{key}={','.join(column)}"
            for key, column in zip(self._keys, zip(*rows, strict=True), strict=True)
        ]
        fields = record.fields.copy()
        fields[_INFO] = b"".join((_kept_info(fields[_INFO]), ";".join(values).encode()))
        return b"\t".join(fields) + record.eol

    def passed(self, line: Passed) -> bytes:
        """Return a line that is no record, as it came."""
        return line.line


def info_key(target: str, name: str) -> str:
    """Return the INFO field of one number of one target.

    >>> info_key("HUES64 (d3)", "p_sign")
    'VARSIGMA_HUES64__D3__P_SIGN'
    """
    return f"{PREFIX}{re.sub('[^A-Za-z0-9]', '_', target)}_{name}".upper()


def _kept_info(info: bytes) -> bytes:
    """INFO without our fields of an earlier run, ready to be appended to."""
    if _OURS in info:
        info = b";".join(part for part in info.split(b";") if not part.startswith(_OURS))
    if info in {b"", MISSING.encode()}:
        return b""
    return info if info.endswith(b";") else info + b";"


def _declaration(key: str, kind: str, description: str) -> str:
    return (
        f'##INFO=<ID={key},Number=A,Type={kind},Description="{_quoted(description)}",'
        f'Source="varsigma",Version="{__version__}">'
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
