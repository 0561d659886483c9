"""Variant + Reference -> the ref and alt windows of each pass as base codes, or a `Status`."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.errors import Status, ValidationError
from service.placement import Nearby, justify, normal_form
from service.reference import Reference
from service.sequence import UNKNOWN, Codes, encode, reverse_complement
from service.variants import Edit, Variant, allele_status, trim


class Anchoring(StrEnum):
    """What the ref and the alt window share where a change of length moves its surroundings.

    Each is read in the direction of the strand, and `region` is the justified change: all bases
    over which an indel can slide.
    """

    LEFT = "left"
    """What lies left of the region: its first base has the index of the variant in both."""
    RIGHT = "right"
    """What lies right of it: its last base has the index of the variant in both."""
    CENTRE = "centre"
    """The middle of the region has it, so that either side loses or gains half of the change."""


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


@dataclass(frozen=True, slots=True)
class Checked:
    """A variant that can be scored, on the reference.

    Attributes:
      bases: around it.
      edit: the trimmed edit, 0-based.
      justified: over all bases where it can lie, 0-based.
    """

    bases: Nearby
    edit: Edit
    justified: Edit

    @property
    def changes_length(self) -> bool:
        """Whether ref and alt differ in length, so that their windows can be anchored."""
        return self.edit.end - self.edit.start != len(self.edit.inserted)

    @property
    def replaces_one_base(self) -> bool:
        """Whether one base, N among them, takes the place of one."""
        return self.edit.end - self.edit.start == len(self.edit.inserted) == 1


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


def check_variant(reference: Reference, variant: Variant, width: int) -> Checked | Status:
    """Look a variant up on the reference.

    Args:
      reference: the genome.
      variant: pos is 1-based; alleles in either case.
      width: W, bases in a window; a change of more than a quarter of it is too long.

    Returns:
      The change; or why it cannot be scored.
    """
    status = allele_status(variant.ref, variant.alt)
    if status is not Status.OK:
        return status
    contig = reference.resolve(variant.contig)
    if contig is None:
        return Status.UNKNOWN_CONTIG
    if not reference.covers(contig, variant.start, variant.end):
        return Status.WINDOW_OFF_CONTIG
    bases = Nearby(reference, contig, variant.start - width, variant.end + width)
    found = bases.codes(variant.start, variant.end).tobytes()
    if found != encode(variant.ref).tobytes():
        return Status.REF_MISMATCH
    edit = trim(variant)
    is_change = found != encode(variant.alt).tobytes()
    if is_change and max(edit.end - edit.start, len(edit.inserted)) > width // 4:
        return Status.ALLELE_TOO_LONG
    return Checked(bases, edit, justify(bases, edit))


def change_windows(
    change: Checked,
    width: int,
    passes: tuple[Pass, ...],
    anchorings: tuple[Anchoring, ...],
) -> Codes:
    """Cut the windows of both haplotypes around a change.

    A change that keeps the length has its first base, in the direction of the strand, at index
    width // 2 + shift of both windows. One that alters it is shown once for each anchoring, with
    that index for the base that the anchoring names. Nothing depends on how the change was
    spelt; the minus strand repeats all on the reverse-complemented genome; and with ref and alt
    swapped the same windows come out. Beyond known sequence: N.

    Args:
      change: what `check_variant` found.
      width: W, bases in a window.
      passes: P strands and shifts.
      anchorings: K of them.

    Returns:
      (Q, 2, W) codes, axis 1 is ref, alt; Q is P, or P x K (anchorings fastest) where the length
      changes.
    """
    if not change.changes_length:
        anchorings = (Anchoring.LEFT,)
    region = change.justified if change.changes_length else change.edit
    origin = region.start - width
    ref = change.bases.codes(origin, region.end + width)
    inserted = encode(region.inserted)
    alt = np.concatenate((ref[:width], inserted, ref[len(ref) - width :]))
    # The region is [width, len - width) of either haplotype, on either strand.
    windows = np.empty((len(passes) * len(anchorings), 2, width), np.uint8)
    rows = iter(windows)
    reverse = False
    for way in passes:
        if way.reverse is not reverse:
            ref, alt, reverse = reverse_complement(ref), reverse_complement(alt), way.reverse
        index = variant_index(width, way)
        for anchoring in anchorings:
            row = next(rows)
            for side, haplotype in enumerate((ref, alt)):
                first = _anchor(anchoring, width, len(haplotype) - width) - index
                row[side] = haplotype[first : first + width]
    return windows


def _anchor(anchoring: Anchoring, start: int, end: int) -> int:
    """The base of the region [start, end) that gets the index of the variant."""
    if anchoring is Anchoring.LEFT:
        return start
    return end - 1 if anchoring is Anchoring.RIGHT else (start + end) // 2


def variant_windows(
    reference: Reference,
    variant: Variant,
    width: int,
    passes: tuple[Pass, ...],
    anchorings: tuple[Anchoring, ...] = (Anchoring.LEFT,),
) -> Codes | Status:
    """Check one variant and cut its windows: see `check_variant` and `change_windows`."""
    change = check_variant(reference, variant, width)
    if isinstance(change, Status):
        return change
    return change_windows(change, width, passes, anchorings)


def normalised(change: Checked) -> str:
    """Return the normal form of a change: `pos:ref:alt`, pos 1-based."""
    return normal_form(change.bases, change.edit, change.justified)


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


def occlude(windows: Codes, index: int, n_occluded: int) -> Codes:
    """Hide the bases around a variant: what they do together tells of any change among them.

    Occlusion, as of pictures (Zeiler and Fergus, ECCV 2014, 10.1007/978-3-319-10590-1_53).

    Args:
      windows: (n, W) codes of REF.
      index: of the variant, 0-based.
      n_occluded: odd; bases that become N, the variant in their middle. Beyond the window: none.

    Returns:
      (n, W) codes, a copy.
    """
    hidden = windows.copy()
    hidden[:, max(index - n_occluded // 2, 0) : index + n_occluded // 2 + 1] = UNKNOWN
    return hidden
