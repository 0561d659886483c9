from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sequence import decode, encode, reverse_complement
from training.datasets.homology import assign_folds, canonical_kmers, homology_clusters, shares_kmer


def random_sequences(n: int, length: int = 200, seed: int = 0) -> list[str]:
    codes = np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)
    return [decode(row) for row in codes]


def flipped(sequence: str) -> str:
    return decode(reverse_complement(encode(sequence)))


def naive_kmers(sequence: str, k: int) -> set[str]:
    windows = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    return {min(window, flipped(window)) for window in windows if "N" not in window}


@given(
    st.lists(st.text("ACGTN", min_size=0, max_size=14), min_size=1, max_size=8),
    st.integers(1, 6),
)
def test_hashes_stand_for_canonical_kmers(sequences, k):
    hashes, owners = canonical_kmers(sequences, k)
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            shared = set(hashes[owners == i]) & set(hashes[owners == j])
            assert len(shared) == len(naive_kmers(one, k) & naive_kmers(other, k))


def test_strand_does_not_matter():
    sequences = random_sequences(20)
    forward, _ = canonical_kmers(sequences, 40)
    backward, _ = canonical_kmers([flipped(s) for s in sequences], 40)
    np.testing.assert_array_equal(np.sort(forward), np.sort(backward))


@pytest.mark.parametrize(("shared", "related"), [(39, False), (40, True), (41, True)])
@pytest.mark.parametrize("strand", ["same", "other"])
def test_relatives_share_forty_bases_on_either_strand(shared, related, strand):
    left, right, bystander = random_sequences(3)
    edge = "C" if left[50 + shared] == "A" else "A"  # the shared run ends here
    right = left[50 : 50 + shared] + edge + right[shared + 1 :]
    labels = homology_clusters([left, flipped(right) if strand == "other" else right, bystander])
    assert (labels[0] == labels[1]) == related
    assert labels[2] not in labels[:2]


@pytest.mark.parametrize("shared", [128, 256])
def test_relatives_stay_relatives_however_many_kmers_they_share(shared):
    # As many edges between one pair, in whatever integer they are added up.
    sequence = random_sequences(1, length=40 + shared - 1)[0]
    labels = homology_clusters([sequence, sequence, *random_sequences(1, seed=1)])
    assert labels.tolist() == [0, 0, 1]


def test_relatives_of_relatives_are_relatives():
    genome = random_sequences(1, length=500)[0]
    tiles = [genome[start : start + 144] for start in (0, 200, 100)]  # the first two are disjoint
    assert len(set(homology_clusters(tiles))) == 1
    assert len(set(homology_clusters(tiles[:2]))) == 2


def test_a_variant_in_the_middle_of_a_short_insert_stays_with_its_reference():
    reference = random_sequences(1, length=114)[0]
    alternate = reference[:57] + ("A" if reference[57] != "A" else "C") + reference[58:]
    assert len(set(homology_clusters([reference, alternate]))) == 1


def test_labels_count_by_first_appearance_and_short_sequences_are_alone():
    one, two = random_sequences(2)
    labels = homology_clusters([one, "ACGT", two, flipped(one), "ACGT", "N" * 60, "N" * 60])
    assert labels.tolist() == [0, 1, 2, 0, 3, 4, 5]


def test_overlap_needs_thirty_bases_of_a_target():
    target, *others = random_sequences(4)
    hit, miss = others[0][:100] + target[:30] + others[0][:50], others[1][:100] + target[:29]
    found = shares_kmer([flipped(hit), miss, hit, others[2], "ACGT"], [target, "ACG"], 30)
    assert found.tolist() == [True, False, True, False, False]


def deal(sizes: list[int], groups: list[int], n_folds: int = 10):
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    keys = [f"{cluster:05d}" for cluster in clusters]
    return clusters, assign_folds(clusters, np.array(groups), keys, n_folds)


def test_a_cluster_stays_whole_and_every_group_is_spread_evenly():
    generator = np.random.default_rng(0)
    sizes = generator.geometric(0.5, 3000).tolist()
    groups = generator.choice(3, sum(sizes), p=[0.9, 0.08, 0.02]).tolist()
    clusters, folds = deal(sizes, groups)
    assert all(len(set(folds[clusters == cluster])) == 1 for cluster in range(0, 3000, 50))
    for group in range(3):
        counts = np.bincount(folds[np.array(groups) == group], minlength=10)
        assert counts.max() - counts.min() <= 3


def test_large_families_are_not_held_out():
    _, folds = deal([500, 400, *[1] * 9100], [0] * 10000)
    assert {folds[0], folds[500]} == {9, 8}
    assert np.ptp(np.bincount(folds)) <= 1


def test_folds_do_not_depend_on_the_order_of_rows_or_the_names_of_clusters():
    generator = np.random.default_rng(1)
    sequences = np.array(random_sequences(400, length=50))
    clusters = generator.integers(0, 250, 400)
    groups = generator.integers(0, 3, 400)
    folds = assign_folds(clusters, groups, sequences.tolist())
    order = generator.permutation(400)
    renamed = generator.permutation(250)[clusters]
    again = assign_folds(renamed[order], groups[order], sequences[order].tolist())
    np.testing.assert_array_equal(again, folds[order])
