"""VCF text: `bytes -> records`, and `records + scores -> bytes`.

Lines pass through: only INFO and the header grow, no other byte of a record is touched and sample
columns are never split. VARSIGMA_ fields of an earlier run are replaced by the new ones.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from service import __version__
from service.errors import DecodingError, InputFileError, ModelContractError, Status
from service.fields import (
    EFFECT_FIELDS,
    MISSING,
    KnownRow,
    RowTemplates,
    interval_text,
    known_rows,
    provenance_items,
)
from service.scoring import Scores
from service.variants import MAX_POS, Variant

PREFIX = "VARSIGMA_"
STATUS_KEY = f"{PREFIX}STATUS"
NORM_KEY = f"{PREFIX}NORM"
STATUS_TEXT = {status: status.value.encode() for status in Status}

_N_FIXED = 8  # CHROM POS ID REF ALT QUAL FILTER INFO
_INFO = 7
_OURS = PREFIX.encode()
# A record: what stands before INFO, what is kept of INFO, our fields, what stands after INFO.
_BEFORE = f"%b%b{STATUS_KEY}=%b;{NORM_KEY}=%b".encode()
_AFTER = b"%b"
_OF_SEVERAL = _BEFORE + b"%b" + _AFTER
_NO_INFO = {b"", MISSING.encode()}
_OUR_HEADER = (b"##INFO=<ID=" + _OURS, b"##varsigma=")
_CONTIG = b"##contig="
_BOM = b"\xef\xbb\xbf"
# A key of a header line and its value, which may be quoted and then hold commas.
_ATTRIBUTE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,>]*)')
_LENGTH = re.compile("[0-9]{1,18}")
_N_DIGITS = len(str(MAX_POS))


# Records and passed lines are tuples: a frozen dataclass takes twice as long to make, and there
# is one for every line.
class Record(NamedTuple):
    """One data line, and where in it INFO stands.

    Attributes:
      number: **1-based** line number in the file.
      line: its bytes, line end included.
      start: of INFO in the line, 0-based.
      end: of INFO, exclusive.
      variants: one per ALT, in order.
    """

    number: int
    line: bytes
    start: int
    end: int
    variants: tuple[Variant, ...]

    @property
    def n_bytes(self) -> int:
        """Size of the line."""
        return len(self.line)


class Passed(NamedTuple):
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
    # Samples stay one piece, which is never split.
    fields = line.split(b"\t", _N_FIXED)
    if len(fields) < _N_FIXED:
        return Passed(number, line, _problem(fields) if line.rstrip(b"\r\n") else None)
    contig, digits, _, ref, alts, _, _, info = fields[:_N_FIXED]
    is_place = digits.isdigit() and len(digits) <= _N_DIGITS and (pos := int(digits)) <= MAX_POS
    if not (is_place and ref and alts) or contig[:1] == b"#":
        return Passed(number, line, _problem(fields))
    alt = _BASES.get(alts) or _text(alts)
    if "," in alt:
        names = _contig(contig), pos, _text(ref)
        variants = tuple([Variant(*names, alt) for alt in alt.split(",")])
    else:
        variants = (Variant(_contig(contig), pos, _BASES.get(ref) or _text(ref), alt),)
    if len(fields) > _N_FIXED:
        end = len(line) - len(fields[-1]) - 1
        start = end - len(info)
    else:
        start = len(line) - len(info)
        end = start + len(info.removesuffix(b"\n").removesuffix(b"\r"))
    return Record(number, line, start, end, variants)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")


# Most records have a contig that was seen and alleles of one base; a decoding takes longer.
_contig = lru_cache(maxsize=1024)(_text)
_BASES = {base.encode(): base for base in "ACGTNacgtn"}


def _problem(fields: list[bytes]) -> str:
    """Say why a line is no record."""
    if fields[0].startswith(b"#"):
        return "a header line after #CHROM"
    if len(fields) < _N_FIXED:
        return f"{len(fields)} of the {_N_FIXED} tab-separated columns that VCF asks for"
    if not fields[3]:
        return "REF is empty"
    if not fields[4]:
        return "ALT is empty"
    pos = fields[1][:20].decode("ascii", "replace")
    return f"POS {pos!r} is no integer from 0 to {MAX_POS}"


def parse_lines(lines: Iterable[bytes], first_number: int) -> Iterator[Record | Passed]:
    """Read lines after the header, the first of which has this **1-based** number."""
    for number, line in enumerate(lines, first_number):
        yield parse_line(line, number)


@dataclass(frozen=True, slots=True)
class Header:
    """What comes before the records.

    Attributes:
      lines: those above #CHROM, VARSIGMA_ declarations of an earlier run left out.
      columns: the #CHROM line.
      is_rescored: whether an earlier run's declarations were there.
      contigs: bases of each declared contig, None where its line does not say.
      n_lines: lines read, #CHROM and declarations of an earlier run among them.
    """

    lines: tuple[bytes, ...]
    columns: bytes
    is_rescored: bool
    contigs: Mapping[str, int | None]
    n_lines: int


def read_header(lines: Iterable[bytes], name: str) -> Header:
    """Read lines up to #CHROM; an iterator then stands at the first record.

    Args:
      lines: of the file, with their line ends.
      name: what messages call the file.

    Raises:
      DecodingError: it is no VCF.
    """
    kept: list[bytes] = []
    contigs: dict[str, int | None] = {}
    is_rescored = False
    n_lines = 0
    for n_lines, line in enumerate(lines, 1):
        if line.startswith(b"#CHROM"):
            return Header(tuple(kept), line, is_rescored, contigs, n_lines)
        if line.startswith(b"BCF\x02"):
            raise DecodingError(f"{name} is BCF; convert it: bcftools view -Oz")
        if line.startswith(_BOM):
            raise DecodingError(
                f"{name} begins with a UTF-8 byte order mark, which VCF does not allow; remove it:"
                " tail -c +4"
            )
        if not line.startswith(b"#"):
            break
        if line.startswith(_OUR_HEADER):
            is_rescored = True
        else:
            kept.append(line)
        if line.startswith(_CONTIG):
            contigs.update(_declared_contig(line))
    raise DecodingError(
        f"{name} is not a VCF, or is cut off: no #CHROM line among its first {n_lines} lines"
    )


def _declared_contig(line: bytes) -> dict[str, int | None]:
    attributes = dict(_ATTRIBUTE.findall(_text(line)[len(_CONTIG) :]))
    if "ID" not in attributes:
        return {}
    length = attributes.get("length", "").strip('"')
    return {attributes["ID"]: int(length) if _LENGTH.fullmatch(length) else None}


def check_last_line(line: bytes, number: int | None, header: Header, name: str) -> None:
    """Refuse a file whose last line has no line end and lacks columns.

    Args:
      line: the last line.
      number: its **1-based** number, None where the lines were not counted.
      header: of the file.
      name: what messages call the file.

    Raises:
      InputFileError: the line is cut off.
    """
    if line.endswith(b"\n"):
        return
    parsed = parse_line(line, number or 0)
    lacks_columns = line.count(b"\t") < header.columns.count(b"\t")
    if lacks_columns or (isinstance(parsed, Passed) and parsed.problem):
        which = "the last line" if number is None else f"line {number}, the last,"
        raise InputFileError(f"{name} is truncated: {which} is cut off; copy the file again")


class VcfReader:
    """The lines of a VCF as they come, the header read on creation.

    Attributes:
      header: what came before the records.

    Raises:
      DecodingError: it is no VCF.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        """Read lines up to #CHROM; `name` is what messages call the file."""
        self._name = name
        self._lines = iter(lines)
        self.header = read_header(self._lines, name)

    def __iter__(self) -> Iterator[Record | Passed]:
        """Yield every line after the header.

        Raises:
          InputFileError: the last line has no line end and lacks columns.
        """
        for number, line in enumerate(self._lines, self.header.n_lines + 1):
            if line[-1:] != b"\n":
                check_last_line(line, number, self.header, self._name)
            yield parse_line(line, number)


class Encoder(Protocol):
    """What turns scored lines into the bytes of one format."""

    def header(self, header: Header, contigs: Mapping[str, int]) -> bytes:
        """Return what comes before the first record.

        Args:
          header: of the input.
          contigs: bases of the reference's contigs, for an input that declares none.
        """
        ...

    def lines(self, lines: Sequence[Record | Passed], scores: Scores) -> bytes:
        """Return a chunk of lines with the scores of all their ALTs, in order."""
        ...


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
        keys = [info_key(target, field.name) for target in targets for field in EFFECT_FIELDS]
        if len(set(keys)) < len(keys):
            raise ModelContractError(
                f"targets {', '.join(targets)} differ by more than punctuation"
            )
        self._keys = [key.encode() for key in keys]
        heads = [f";{key}=".encode() for key in keys]
        self._of_one = RowTemplates(heads, before=_BEFORE, after=_AFTER)
        self._values = RowTemplates([b";"] * len(keys))

    def header(self, header: Header, contigs: Mapping[str, int]) -> bytes:
        """Return the header with our lines before #CHROM, in its own line ends."""
        eol = "\r\n" if header.columns.endswith(b"\r\n") else "\n"
        has_contigs = any(line.startswith(_CONTIG) for line in header.lines)
        ours = [
            *(
                f"##contig=<ID={contig},length={length}>"
                for contig, length in ({} if has_contigs else contigs).items()
            ),
            *(
                f'##varsigma=<ID={key},Value="{_quoted(value)}">'
                for key, value in provenance_items(self._provenance)
            ),
            *self._declarations(),
        ]
        columns = header.columns if header.columns.endswith(b"\n") else header.columns + b"\n"
        return b"".join((*header.lines, "".join(f"{line}{eol}" for line in ours).encode(), columns))

    def _declarations(self) -> Iterator[str]:
        statuses = ", ".join(f"{status.value} ({status.reason})" for status in Status)
        yield _declaration(STATUS_KEY, "String", f"What became of each ALT: {statuses}")
        yield _declaration(
            NORM_KEY, "String", "Each ALT as pos:ref:alt, left-aligned and parsimonious"
        )
        calibrated = self._provenance.get("calibrated_targets", ())
        for target in self._targets:
            state = "calibrated" if target in calibrated else "uncalibrated"
            for field in EFFECT_FIELDS:
                meaning = field.meaning.format(interval=interval_text(self._coverage))
                known = f"{meaning}; {state}" if field.is_scaled else meaning
                yield _declaration(
                    info_key(target, field.name), "Float", f"{known}; assay target {target}"
                )

    def lines(self, lines: Sequence[Record | Passed], scores: Scores) -> bytes:
        """Return a chunk of lines, one value per ALT appended to the INFO of its records.

        Args:
          lines: with N ALTs together.
          scores: of those N.
        """
        rows = known_rows(scores.effects)
        statuses = [STATUS_TEXT[status] for status in scores.status]
        forms = [form.encode() for form in scores.normalised]
        template_of = self._of_one.template
        numbers: tuple[float | bytes, ...]
        encoded: list[bytes] = []
        first = 0
        for line in lines:
            if isinstance(line, Passed):
                encoded.append(line.line)
                continue
            _, text, start, end, variants = line
            last = first + len(variants)
            if last == first + 1:
                mask, numbers = rows[first]
                template, status, form = template_of(mask), statuses[first], forms[first]
            else:
                template, numbers = _OF_SEVERAL, (self._joined(rows[first:last]),)
                status, form = b",".join(statuses[first:last]), b",".join(forms[first:last])
            info = _kept_info(text[start:end])
            encoded.append(template % (text[:start], info, status, form, *numbers, text[end:]))
            first = last
        return b"".join(encoded)

    def _joined(self, rows: Sequence[KnownRow]) -> bytes:
        """Return the fields of a record with several ALTs."""
        texts = [(self._values.template(mask) % known).split(b";")[1:] for mask, known in rows]
        columns = zip(self._keys, zip(*texts, strict=True), strict=True)
        return b"".join([b";%b=%b" % (key, b",".join(values)) for key, values in columns])


def info_key(target: str, name: str) -> str:
    """Return the INFO field of one number of one target.

    >>> info_key("HUES64 (d3)", "p_sign")
    'VARSIGMA_HUES64__D3__P_SIGN'
    """
    return f"{PREFIX}{re.sub('[^A-Za-z0-9]', '_', target)}_{name}".upper()


def _kept_info(info: bytes) -> bytes:
    """INFO without our fields of an earlier run, ready to be appended to."""
    if info.find(_OURS) >= 0:  # an `in` would take three times as long
        info = b";".join(part for part in info.split(b";") if not part.startswith(_OURS))
    if info in _NO_INFO:
        return b""
    return info if info[-1:] == b";" else info + b";"


def _declaration(key: str, kind: str, description: str) -> str:
    return (
        f'##INFO=<ID={key},Number=A,Type={kind},Description="{_quoted(description)}",'
        f'Source="varsigma",Version="{__version__}">'
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
