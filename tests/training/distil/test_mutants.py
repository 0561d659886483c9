"""Mutated copies: how many substitutions, and where."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.assays import LENTI_FLANKS, WINDOW, window_codes
from training.augment import inside
from training.batches import insert_spans
from training.distil.mutants import Mutants


def constructs(lengths):
    rng = np.random.default_rng(0)
    inserts = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    return window_codes(inserts, LENTI_FLANKS), insert_spans(lengths, LENTI_FLANKS)


@given(seed=st.integers(0, 10_000))
def test_every_copy_differs_by_one_to_the_most_substitutions_of_its_insert(seed):
    codes, spans = constructs([200, 171, 114, 19, 3])
    codes[0, 20:120] = 4  # an N within an insert is no base
    copies = Mutants(most=7).copies(codes, spans, np.random.default_rng(seed))
    differs = copies != codes
    number = differs.sum(axis=1)
    assert (number >= 1).all()
    assert (number <= [7, 7, 7, 7, 3]).all()
    assert not (differs & ~inside(spans, WINDOW)).any()
    assert not (differs & (codes == 4)).any()
    assert copies.max() <= 4


def test_numbers_of_substitutions_are_spread_over_orders_of_magnitude():
    codes, spans = constructs([200] * 5000)
    copies = Mutants(most=20).copies(codes, spans, np.random.default_rng(0))
    number = (copies != codes).sum(axis=1)
    share = np.bincount(number, minlength=21)[1:] / len(number)
    expected = 1 / np.arange(1, 21)
    # 5,000 copies: four standard errors of the largest share are 0.026.
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.026)
    where = (copies != codes).sum(axis=0)[15:215]
    assert where.min() > 0.6 * where.mean()  # everywhere in the insert
    assert where.max() < 1.4 * where.mean()


def test_one_seed_is_one_set_of_copies():
    codes, spans = constructs([200] * 10)
    one, two, other = (
        Mutants().copies(codes, spans, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
