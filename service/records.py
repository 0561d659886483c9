"""VCF text -> header and records. Lines stay as they are; where INFO stands in them is noted."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from service.errors import DecodingError, InputFileError
from service.variants import MAX_POS, Variant

# What all our fields and header lines begin with.
PREFIX = "VARSIGMA_"
CONTIG_LINE = b"##contig="

_N_FIXED = 8  # CHROM POS ID REF ALT QUAL FILTER INFO
_OUR_HEADER = (f"##INFO=<ID={PREFIX}".encode(), b"##varsigma=")
_BOM = b"\xef\xbb\xbf"
# How other encodings of Unicode begin: with a byte order mark, or with "#" where they have none.
_UNICODE = {
    b"\xff\xfe\x00\x00": "UTF-32",  # before UTF-16, which begins alike
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"#\x00": "UTF-16LE",
    b"\x00#": "UTF-16BE",
}
# What no text holds, in ASCII and in the ISO 8859 family.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
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
        if n_lines == 1 and (encoding := _other_unicode(line)):
            raise DecodingError(
                f"{name} is not a VCF but text in {encoding}; convert it: "
                f"iconv -f {encoding} -t UTF-8"
            )
        if not line.startswith(b"#"):
            break
        if line.startswith(_OUR_HEADER):
            is_rescored = True
        else:
            kept.append(line)
        if line.startswith(CONTIG_LINE):
            contigs.update(_declared_contig(line))
    if n_lines and not _is_text(line):
        raise DecodingError(
            f"{name} is not a VCF: its line {n_lines} is not text; give a VCF, plain, gzip"
            " or bgzip, or a BCF, not another file nor one that is packed twice"
        )
    if n_lines and b"\r" in line.rstrip(b"\r\n"):
        raise DecodingError(
            f"{name} ends its lines with a carriage return alone; convert it: tr '\\r' '\\n'"
        )
    raise DecodingError(
        f"{name} is not a VCF, or is cut off: no #CHROM line among its first {n_lines} lines; put "
        "the header of the file that it came from above its records"
    )


def _other_unicode(line: bytes) -> str | None:
    """The encoding in which a first line is told to be, where that is not UTF-8."""
    return next((name for start, name in _UNICODE.items() if line.startswith(start)), None)


def _is_text(line: bytes) -> bool:
    try:
        # Not `bytes.decode`: what is looked at may be cut off inside a character.
        return "\x00" not in codecs.getincrementaldecoder("utf-8")().decode(line)
    except UnicodeDecodeError:
        return not _CONTROL.search(line)


def _declared_contig(line: bytes) -> dict[str, int | None]:
    attributes = dict(_ATTRIBUTE.findall(_text(line)[len(CONTIG_LINE) :]))
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
