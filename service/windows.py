"""Variant + Reference -> the ref and alt windows of each pass as base codes, or a `Status`."""

from dataclasses import dataclass

import numpy as np

from service.errors import Status, ValidationError
from service.reference import Reference
from service.sequence import UNKNOWN, Codes, encode, reverse_complement
from service.variants import Variant, allele_status, trim


@dataclass(frozen=True, slots=True)
class Pass:
    """One way to show a variant to the model.

    Attributes:
      reverse: read the minus strand.
      shift: bases by which the variant lies right of the middle, W // 2, of the *oriented*
        window; so a shift mirrors with the strand.
    """

    reverse: bool
    shift: int


def make_passes(strands: int, shifts: tuple[int, ...]) -> tuple[Pass, ...]:
    """Return every combination of strand and shift, plus strand first.

    Raises:
      ValidationError: strands other than 1 or 2; no shift, or one given twice.
    """
    if strands not in {1, 2}:
        raise ValidationError(f"strands must be 1 or 2, got {strands}")
    if not shifts or len(set(shifts)) != len(shifts):
        raise ValidationError(f"shifts must be different whole numbers, got {shifts}")
    return tuple(Pass(reverse, shift) for reverse in (False, True)[:strands] for shift in shifts)


def variant_windows(
    reference: Reference, variant: Variant, width: int, passes: tuple[Pass, ...]
) -> Codes | Status:
    """Cut the windows of both haplotypes around a variant.

    The first changed base of the oriented sequence has index width // 2 + shift: the first base
    that is replaced or deleted, or the first inserted one (there the ref window has the base
    after the insertion). Left of it both windows are equal; from it on each follows its own
    haplotype. An indel inside a repeat is first moved as far left as the oriented sequence
    allows (up to one width), so that every spelling of one change gives the same windows. The
    minus strand repeats this on the reverse-complemented genome. Beyond known sequence: N.

    Args:
      reference: the genome.
      variant: pos is 1-based; alleles in either case.
      width: W, bases in a window.
      passes: P strands and shifts.

    Returns:
      (P, 2, W) codes, axis 1 is ref, alt; or why the variant cannot be scored.
    """
    status = allele_status(variant.ref, variant.alt)
    if status is not Status.OK:
        return status
    contig = reference.resolve(variant.contig)
    if contig is None:
        return Status.UNKNOWN_CONTIG
    if not reference.covers(contig, variant.start, variant.end):
        return Status.WINDOW_OFF_CONTIG
    # Two widths on each side: one for the window, one for moving an indel through a repeat.
    margin = 2 * width
    origin = variant.start - margin
    ref = reference.codes(contig, origin, variant.end + margin)
    if ref[margin:-margin].tobytes() != encode(variant.ref).tobytes():
        return Status.REF_MISMATCH
    edit = trim(variant)
    if max(edit.end - edit.start, len(edit.inserted)) > width // 4:
        return Status.ALLELE_TOO_LONG
    start, end = edit.start - origin, edit.end - origin
    alt = np.concatenate((ref[:start], encode(edit.inserted), ref[end:]))
    is_indel = start == end or not edit.inserted
    windows = np.empty((len(passes), 2, width), np.uint8)
    reverse = False
    for window, way in zip(windows, passes, strict=True):
        if way.reverse is not reverse:
            ref, alt = reverse_complement(ref), reverse_complement(alt)
            start, end, reverse = len(ref) - end, len(ref) - start, way.reverse
        anchor = start - (_room_to_move(ref, alt, start, width) if is_indel else 0)
        first = anchor - variant_index(width, way)
        window[0] = ref[first : first + width]
        window[1] = alt[first : first + width]
    return windows


def pair_windows(
    ref_seq: str, alt_seq: str, width: int, passes: tuple[Pass, ...]
) -> Codes | Status:
    """Place two plain sequences in windows: the longer one in the middle, N on both sides.

    Its left padding on the plus strand is (W - length) // 2, and the reverse pass has it as its
    reverse complement there. The shorter one starts where the longer one starts on the strand
    that is read, as haplotypes do that share what lies left of a variant. A shift moves both
    right in the oriented window.

    Args:
      ref_seq: up to W bases over ACGTN, either case.
      alt_seq: the same for the alternative allele.
      width: W, bases in a window.
      passes: P strands and shifts.

    Returns:
      (P, 2, W) codes, axis 1 is ref, alt; or why the pair cannot be scored.
    """
    status = allele_status(ref_seq, alt_seq)
    if status is not Status.OK:
        return status
    if max(len(ref_seq), len(alt_seq)) > width:
        return Status.ALLELE_TOO_LONG
    forward = encode(ref_seq), encode(alt_seq)
    n_around = width - max(map(len, forward))
    windows = np.full((len(passes), 2, width), UNKNOWN, np.uint8)
    for window, way in zip(windows, passes, strict=True):
        n_left = n_around - n_around // 2 if way.reverse else n_around // 2
        first = n_left + variant_index(width, way) - width // 2
        for row, codes in zip(window, forward, strict=True):
            oriented = reverse_complement(codes) if way.reverse else codes
            kept = oriented[max(-first, 0) : width - first]
            row[max(first, 0) :][: len(kept)] = kept
    return windows


def variant_index(width: int, way: Pass) -> int:
    """Return the 0-based index of the variant in the oriented window.

    Raises:
      ValidationError: a shift moves it out of the window.
    """
    index = width // 2 + way.shift
    if not 0 <= index < width:
        raise ValidationError(f"a shift of {way.shift} leaves the window of {width} bases")
    return index


def _room_to_move(ref: Codes, alt: Codes, start: int, limit: int) -> int:
    """Bases by which an indel at `start` can move left without changing either haplotype."""
    period = abs(len(alt) - len(ref))
    longer = max(ref, alt, key=len)
    before = longer[start - limit : start]
    repeats = (before == longer[start - limit + period : start + period]) & (before != UNKNOWN)
    breaks = np.flatnonzero(~repeats)
    return limit - 1 - int(breaks[-1]) if breaks.size else limit
