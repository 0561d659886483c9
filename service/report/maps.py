"""Rows of a triaged list -> what every single-base change around each variant would do.

The pieces are those of `service.saturation`. The changes of all maps are scored together, those
that neighbouring variants share once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.cutting import NOT_NORMALISED
from service.effects import Floats
from service.errors import ValidationError
from service.saturation import ALTS, Region
from service.scoring import Scorer
from service.stream import OnProgress, ignore
from service.triage_list import Row, TriageList
from service.variants import Edit, Variant, trim

SPAN = 41
"""Bases of a map: two turns of the helix to either side, and still legible on a phone."""
LIMIT = 200
"""Variants that get a map, from the first rank on."""
MAX_SPAN = 201

# Changes that are scored between two reports of progress; positions are never split.
_AT_ONCE = 512 * (len(ALTS) - 1)


@dataclass(frozen=True, slots=True)
class VariantMap:
    """Effects around one variant on the deciding target.

    Attributes:
      region: L bases, N where the reference is not known.
      effect: (L, 4) log2 units; axis 1 is the alternative base, ACGT. NaN for the reference's own
        base, at N and where the model returned no number.
      edit: what the variant replaces, on the contig, 0-based.
    """

    region: Region
    effect: Floats
    edit: Edit

    @property
    def heights(self) -> Floats:
        """(L,) letters of the logo: minus the mean effect of the changes; NaN where none is known.

        The sign is turned, as is customary: a base that the activity rests on stands upright.
        """
        known = np.isfinite(self.effect)
        n_known = known.sum(axis=1)
        total = np.where(known, self.effect, 0).sum(axis=1)
        return np.where(n_known > 0, -total / np.maximum(n_known, 1), np.nan)

    @property
    def places(self) -> range:
        """0-based places in the region of the bases that the variant replaces."""
        first = self.edit.start - self.region.start
        return range(max(first, 0), min(self.edit.end - self.region.start, len(self.effect)))

    @property
    def own(self) -> tuple[int, int] | None:
        """Place and column of the variant's own change, None if it is no single-base one."""
        if len(self.places) != 1 or self.edit.end - self.edit.start != 1:
            return None
        column = ALTS.find(self.edit.inserted) if len(self.edit.inserted) == 1 else -1
        return None if column < 0 else (self.places[0], column)


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of a list.

    Attributes:
      span: bases of each; 0 for none.
      limit: variants that could get one, from the first rank on.
      n_changes: changes that were scored, each once.
      by_index: the maps, by `Row.index`.
    """

    span: int
    limit: int
    n_changes: int
    by_index: Mapping[int, VariantMap]


def score_maps(
    found: TriageList,
    scorer: Scorer,
    *,
    span: int = SPAN,
    limit: int = LIMIT,
    on_progress: OnProgress = ignore,
) -> Maps:
    """Score the surroundings of the first variants of a list.

    Args:
      found: the list; its deciding target is that of the maps.
      scorer: that made it.
      span: bases of a map, the variant in the middle; 0 for no maps.
      limit: most variants that get one.
      on_progress: called with what is done and all there is, in changes.

    Raises:
      ValidationError: `span` or `limit` is out of range, or there is no reference.
    """
    if not 0 <= span <= MAX_SPAN:
        raise ValidationError(f"a map spans 0 to {MAX_SPAN} bases, not {span}")
    if limit < 0:
        raise ValidationError(f"the number of maps must not be negative, got {limit}")
    ranked = [row for row in found.rows if row.rank is not None][: limit if span else 0]
    edits = {row.index: edit for row in ranked if (edit := _edit(row)) is not None}
    regions = {
        row.index: _around(row, edits[row.index], scorer, span)
        for row in ranked
        if row.index in edits
    }
    effect, place = _effects(list(regions.values()), found.target, scorer, on_progress)
    maps = {
        index: VariantMap(
            region,
            region.spread(effect[[place[variant] for variant in region.variants()]]),
            edits[index],
        )
        for index, region in regions.items()
    }
    return Maps(span if maps else 0, limit, len(place), maps)


def _edit(row: Row) -> Edit | None:
    """What a row's normal form replaces, None for a pair, which has no place."""
    if row.given.contig is None or row.normalised in {None, NOT_NORMALISED}:
        return None
    pos, ref, alt = str(row.normalised).split(":")
    return trim(Variant(row.given.contig, int(pos), ref, alt))


def _around(row: Row, edit: Edit, scorer: Scorer, span: int) -> Region:
    reference = scorer.reference
    if reference is None:
        raise ValidationError("maps need a reference FASTA")
    contig = reference.resolve(str(row.given.contig))
    if contig is None:  # a row of another reference
        raise ValidationError(f"the reference has no contig {row.given.contig!r}")
    start = (edit.start + max(edit.end - 1, edit.start)) // 2 - span // 2
    return Region(contig, start, reference.codes(contig, start, start + span))


def _effects(
    regions: Sequence[Region], target: str, scorer: Scorer, on_progress: OnProgress
) -> tuple[NDArray[np.floating], dict[Variant, int]]:
    """(V,) effects of every change of some regions, and the place of each change in them."""
    every = {variant for region in regions for variant in region.variants()}
    changes = sorted(every, key=lambda one: (one.contig, one.pos, one.alt))
    t = scorer.model.info.targets.index(target)
    parts: list[NDArray[np.floating]] = [np.empty(0)]
    on_progress(0, 0, len(changes))
    for part in _parts(changes):
        parts.append(scorer.score(part).effects.effect[:, t])
        done = sum(map(len, parts))
        on_progress(done, done, len(changes))
    return np.concatenate(parts), {variant: place for place, variant in enumerate(changes)}


def _parts(changes: Sequence[Variant]) -> Iterator[Sequence[Variant]]:
    for first in range(0, len(changes), _AT_ONCE):
        yield changes[first : first + _AT_ONCE]
