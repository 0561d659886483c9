"""Small requests cut and combined together get what each would get alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Status
from service.fields import numbers
from service.joining import join, split
from service.reference import Reference
from service.scoring import Scorer, ScoringOptions
from service.variants import Variant
from tests.genomes import CHR1

variants = st.builds(
    lambda pos, n, alt, is_right: Variant(
        "chr1", pos, CHR1[pos - 1 : pos - 1 + n] if is_right else "ACGT"[pos % 4], alt
    ),
    st.integers(1, 105),
    st.integers(1, 3),
    st.sampled_from(["A", "C", "G", "T", "AC", "TTT", "<DEL>", "*"]),
    st.sampled_from([True, True, True, False]),
)
requests = st.lists(st.lists(variants, max_size=4), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "tiny.fa"
    path.write_text(f">chr1\n{CHR1}\n")
    with Reference.open(path) as opened:
        yield opened


@given(requests, st.sampled_from([1, 2]), st.sampled_from([0, 5]))
def test_together_is_the_same_as_alone(toy_model, genome, asked, strands, n_occluded):
    scorer = Scorer(toy_model, genome, ScoringOptions(strands=strands), n_occluded=n_occluded)
    every = [variant for request in asked for variant in request]
    parts = split(scorer.cut(every), list(map(len, asked)))
    for part, request in zip(parts, asked, strict=True):
        alone = scorer.cut(request)
        assert (part.status, part.normalised) == (alone.status, alone.normalised)
        assert len(np.unique(part.sequences, axis=0)) <= len(part.sequences)
        needed = {place for group in part.groups for place in group.index.ravel().tolist()}
        assert needed == set(range(len(part.sequences))), "no sequence that it does not need"
        same(scorer.combine(part, scorer.predict(part)), scorer.score(request))
    whole = scorer.combine(*join(parts, [scorer.predict(part) for part in parts]))
    same(whole, scorer.score(every))


def same(found, expected) -> None:
    assert found.status == expected.status
    assert found.normalised == expected.normalised
    np.testing.assert_allclose(
        numbers(found.effects), numbers(expected.effects), rtol=1e-6, atol=1e-6
    )


def test_a_model_that_fails_for_one_fails_for_no_other(toy_model, genome):
    scorer = Scorer(toy_model, genome)
    asked = [
        [Variant("chr1", pos, CHR1[pos - 1], "A" if CHR1[pos - 1] != "A" else "C")]
        for pos in (30, 50)
    ]
    parts = split(scorer.cut([one for request in asked for one in request]), [1, 1])
    predicted = [scorer.predict(part) for part in parts]
    predicted[0].mu[0] = np.nan
    assert scorer.combine(*join(parts, predicted)).status == [Status.MODEL_NAN, Status.OK]
