"""Records + scores -> VCF text.

Lines pass through: only INFO and the header grow, no other byte of a record is touched and sample
columns are never split. VARSIGMA_ fields of an earlier run are replaced by the new ones.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service import __version__
from service.errors import ModelContractError, Status
from service.fields import (
    CALIBRATED,
    CALIBRATED_MEANING,
    EFFECT_FIELDS,
    MISSING,
    NOVEL_AS_MEANING,
    NOVELTY_MEANING,
    KnownRow,
    RowTemplates,
    interval_text,
    known_rows,
    provenance_items,
    variant_texts,
)
from service.novelty import ASPECTS
from service.records import CONTIG_LINE, PREFIX, Header, Passed, Record
from service.scoring import Scores

STATUS_KEY = f"{PREFIX}STATUS"
NORM_KEY = f"{PREFIX}NORM"
NOVELTY_KEY = f"{PREFIX}NOVELTY"
NOVEL_AS_KEY = f"{PREFIX}NOVEL_AS"

_OURS = PREFIX.encode()
# A record: what stands before INFO, what is kept of INFO, our fields, what stands after INFO.
_BEFORE = f"%b%b{STATUS_KEY}=%b;{NORM_KEY}=%b;{NOVELTY_KEY}=%b;{NOVEL_AS_KEY}=%b".encode()
_AFTER = b"%b"
_NO_INFO = {b"", MISSING.encode()}


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
        flags = b"".join(b";%b=%%b" % info_key(one, CALIBRATED).encode() for one in targets)
        if len(set(keys)) < len(keys):
            raise ModelContractError(
                f"targets {', '.join(targets)} differ by more than punctuation"
            )
        self._keys = [key.encode() for key in keys]
        heads = [f";{key}=".encode() for key in keys]
        before = _BEFORE + flags
        self._of_one = RowTemplates(heads, before=before, after=_AFTER)
        self._of_several = before + b"%b" + _AFTER
        self._values = RowTemplates([b";"] * len(keys))

    def header(self, header: Header, contigs: Mapping[str, int]) -> bytes:
        """Return the header with our lines before #CHROM, in its own line ends."""
        eol = "\r\n" if header.columns.endswith(b"\r\n") else "\n"
        has_contigs = any(line.startswith(CONTIG_LINE) for line in header.lines)
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
        yield _declaration(NOVELTY_KEY, "Float", NOVELTY_MEANING)
        aspects = ", ".join(ASPECTS)
        yield _declaration(NOVEL_AS_KEY, "String", f"{NOVEL_AS_MEANING}: {aspects}")
        calibrated = self._provenance.get("calibrated_targets", ())
        for target in self._targets:
            yield _declaration(
                info_key(target, CALIBRATED),
                "String",
                f"{CALIBRATED_MEANING}; assay target {target}",
            )
        for target in self._targets:
            is_fitted = target in calibrated
            state = "calibrated for single-base changes" if is_fitted else "uncalibrated"
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
        texts = variant_texts(scores)
        template_of = self._of_one.template
        numbers: tuple[float | bytes, ...]
        once: tuple[bytes, ...]
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
                template, once = template_of(mask), texts[first]
            else:
                template, numbers = self._of_several, (self._joined(rows[first:last]),)
                columns = zip(*texts[first:last], strict=True)
                once = tuple(b",".join(column) for column in columns)
            info = _kept_info(text[start:end])
            encoded.append(template % (text[:start], info, *once, *numbers, text[end:]))
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
