"""One change, one score: 500 random cases for each promise, on random references.

The model is linear in position and base and treats the strands differently, so that a window that
moved by one base, or a strand that was mixed up, would show.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from service.errors import Status
from service.fields import EFFECT_FIELDS
from service.scoring import Scorer, ScoringOptions
from service.variants import Variant
from service.windows import Anchoring
from tests.genomes import genome, reversed_complement

EXAMPLES = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FIELDS = tuple(field.name for field in EFFECT_FIELDS)
ALL = tuple(Anchoring)


@pytest.fixture(params=["one strand", "two strands, shifts, every anchoring"])
def options(request):
    if request.param == "one strand":
        return ScoringOptions(strands=1, anchorings=(Anchoring.LEFT,))
    return ScoringOptions(strands=2, shifts=(0, 3, -2), anchorings=ALL)


@st.composite
def indels(draw):
    """A genome with repeats of different periods, and an insertion or deletion on it."""
    units = st.text("ACGT", min_size=1, max_size=3)
    parts = draw(st.lists(st.tuples(units, st.integers(1, 12)), min_size=2, max_size=6))
    contig = "".join(unit * count for unit, count in parts)
    start = draw(st.integers(0, len(contig) - 1))
    length = draw(st.integers(1, 5))
    if draw(st.booleans()):
        deleted = contig[start : start + length]
        if len(deleted) < len(contig):
            return contig, start, deleted, ""
    copied = contig[start : start + length]
    return contig, start, "", draw(st.just(copied) | st.text("ACGT", min_size=1, max_size=5))


def spelt(contig, start, ref, alt, left, right):
    """The change with more of the contig around it: at least one base of either allele."""
    low, high = max(start - left, 0), min(start + len(ref) + right, len(contig))
    before, after = contig[low:start], contig[start + len(ref) : high]
    if not (before + after) and not (ref and alt):
        return spelt(contig, start, ref, alt, left + 1, right + 1)
    return Variant("1", low + 1, before + ref + after, before + alt + after)


def every_spelling(contig, start, ref, alt):
    """All places where the same haplotype is made by a change of the same size."""
    changed = contig[:start] + alt + contig[start + len(ref) :]
    for first in range(len(contig) - len(ref) + 1):
        if contig[:first] != changed[:first]:
            return
        inserted = changed[first : first + len(alt)]
        if contig[first + len(ref) :] == changed[first + len(alt) :]:
            yield first, contig[first : first + len(ref)], inserted


def values(scores):
    return np.stack([getattr(scores.effects, name) for name in FIELDS])


@EXAMPLES
@given(indels(), st.integers(0, 4), st.integers(0, 4))
def test_every_spelling_of_an_indel_gives_the_same_effect(toy_model, options, indel, left, right):
    contig = indel[0]
    variants = [spelt(contig, *place, left, right) for place in every_spelling(*indel)]
    variants += [spelt(contig, *place, 1, 0) for place in every_spelling(*indel)]
    with genome({"1": contig}) as reference:
        scores = Scorer(toy_model, reference, options, n_occluded=5).score(variants)
    assert len(set(scores.status)) == 1
    assert scores.status[0] is Status.OK
    assert len(set(scores.normalised)) == 1
    found = values(scores)
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1], found.shape), atol=1e-6)
    assert len(set(scores.novelty.tolist())) == 1


@EXAMPLES
@given(indels(), st.integers(0, 3), st.integers(1, 3))
def test_ref_equal_to_alt_has_no_effect(toy_model, options, indel, left, length):
    contig, start, _, _ = indel
    ref = contig[start : start + length]
    with genome({"1": contig}) as reference:
        scores = Scorer(toy_model, reference, options, n_occluded=5).score(
            [
                Variant("1", start + 1, ref, ref.lower()),
                spelt(contig, start, ref, ref, left, 0),
            ]
        )
    assert scores.status == [Status.OK] * 2
    assert (scores.effects.effect == 0).all()
    assert (np.nan_to_num(scores.effects.occlusion) == 0).all()


@EXAMPLES
@given(indels(), st.booleans(), st.text("ACGT", min_size=1, max_size=3))
def test_swapping_the_alleles_negates_the_effect(toy_model, options, indel, is_delins, more):
    contig, start, ref, alt = indel
    alt += more if is_delins else ""
    variant = spelt(contig, start, ref, alt, 1, 1)
    changed = contig[: variant.start] + variant.alt + contig[variant.end :]
    back = Variant("1", variant.pos, variant.alt, variant.ref)
    with genome({"1": contig}) as reference, genome({"1": changed}) as other:
        one = Scorer(toy_model, reference, options, n_occluded=5).score([variant])
        two = Scorer(toy_model, other, options, n_occluded=5).score([back])
    assert one.status == two.status
    assume(one.status == [Status.OK])  # some are too long for the window
    np.testing.assert_allclose(two.effects.effect, -one.effects.effect, atol=1e-6)
    np.testing.assert_allclose(two.effects.sd, one.effects.sd, atol=1e-6)
    np.testing.assert_allclose(two.effects.quantile, -one.effects.quantile, atol=1e-6)
    np.testing.assert_allclose(two.novelty, one.novelty)


@EXAMPLES
@given(indels(), st.booleans(), st.text("ACGT", min_size=1, max_size=3))
def test_the_other_strand_gives_the_same_effect(toy_model, indel, is_delins, more):
    options = ScoringOptions(strands=2, shifts=(0, 3, -2), anchorings=ALL)
    contig, start, ref, alt = indel
    variant = spelt(contig, start, ref, alt + (more if is_delins else ""), 1, 1)
    mirrored = Variant(
        "1",
        len(contig) - variant.end + 1,
        reversed_complement(variant.ref),
        reversed_complement(variant.alt),
    )
    with (
        genome({"1": contig}) as reference,
        genome({"1": reversed_complement(contig)}) as other_strand,
    ):
        one = Scorer(toy_model, reference, options, n_occluded=5).score([variant])
        two = Scorer(toy_model, other_strand, options, n_occluded=5).score([mirrored])
    assert one.status == two.status
    assume(one.status == [Status.OK])  # some are too long for the window
    np.testing.assert_allclose(values(one), values(two), atol=1e-6)
    np.testing.assert_allclose(one.novelty, two.novelty)
