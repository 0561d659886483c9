"""Which sequences are relatives: sequences -> canonical k-mers -> clusters -> folds, and overlaps.

Two sequences that share a k-mer on either strand are relatives, and so are relatives of relatives.
A cluster never crosses a fold, so a held-out score measures the grammar and not the memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.sequence import UNKNOWN, encode, reverse_complement

CLUSTER_K = 40
OVERLAP_K = 30
N_FOLDS = 10
TEST_FOLD, VALIDATION_FOLD = 0, 1

# Odd 64-bit constants: the golden ratio, SplitMix64's first, and one value per base (N has none).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xBF58476D1CE4E5B9)
_VALUES = np.array(
    [0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3, 0],
    dtype=np.uint64,
)


def canonical_kmers(
    sequences: Sequence[str], k: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash every k-mer of every sequence, the same for a k-mer and its reverse complement.

    Args:
      sequences: bases of any length; over ACGTN; a k-mer that holds an N is left out.
      k: bases per k-mer.

    Returns:
      `(hashes, owners)`, both (K,): the 64-bit hash of each k-mer and the index of its sequence.
      With 10^7 k-mers a chance collision anywhere has a probability near 3e-6.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    hashes: list[NDArray[np.uint64]] = []
    owners: list[NDArray[np.int64]] = []
    for length in np.unique(lengths[lengths >= k]):
        rows = np.flatnonzero(lengths == length)
        codes = encode("".join(sequences[row] for row in rows.tolist())).reshape(-1, length)
        forward, known = _hash_windows(codes, k)
        reverse = _hash_windows(reverse_complement(codes), k)[0][:, ::-1]
        hashes.append(np.minimum(forward, reverse)[known])
        owners.append(np.repeat(rows, known.sum(axis=1)))
    if not hashes:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    return np.concatenate(hashes), np.concatenate(owners)


def _hash_windows(codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Polynomial hash of every window of k codes, then mixed; (N, L) -> twice (N, L - k + 1)."""
    windows = codes.shape[1] - k + 1
    values = _VALUES[codes]
    hashed = np.zeros((codes.shape[0], windows), dtype=np.uint64)
    for offset in range(k):
        hashed *= _MULTIPLIER
        hashed += values[:, offset : offset + windows]
    hashed ^= hashed >> np.uint64(31)
    hashed *= _MIXER
    hashed ^= hashed >> np.uint64(29)
    unknown = np.cumsum(np.pad(codes == UNKNOWN, ((0, 0), (1, 0))), axis=1)
    return hashed, unknown[:, k:] == unknown[:, :-k]


def homology_clusters(sequences: Sequence[str], k: int = CLUSTER_K) -> NDArray[np.int64]:
    """Label the connected components of 'shares a k-mer on either strand'.

    Args:
      sequences: N sequences; one shorter than k is alone.
      k: bases that relatives share.

    Returns:
      (N,) labels from 0, numbered by first appearance in `sequences`.
    """
    hashes, owners = canonical_kmers(sequences, k)
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    left, right = owners[same], owners[same + 1]
    # Repeated edges add up: the many k-mers that a pair shares would wrap a narrow integer.
    edges = coo_array(
        (np.ones(len(left), dtype=np.int32), (left, right)), shape=(len(sequences),) * 2
    )
    labels = connected_components(edges, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def shares_kmer(
    sequences: Sequence[str], targets: Sequence[str], k: int = OVERLAP_K
) -> NDArray[np.bool_]:
    """Say which of N sequences share a k-mer, on either strand, with any target; (N,)."""
    wanted = np.unique(canonical_kmers(targets, k)[0])
    hashes, owners = canonical_kmers(sequences, k)
    hit = np.zeros(len(sequences), dtype=np.bool_)
    hit[owners[np.isin(hashes, wanted)]] = True
    return hit


def assign_folds(
    clusters: NDArray[np.int64],
    groups: NDArray[np.int64],
    keys: Sequence[str],
    n_folds: int = N_FOLDS,
) -> NDArray[np.int64]:
    """Deal whole clusters out to folds so that every group (assay) is spread evenly.

    The largest cluster goes first, each to the fold where it leaves the smallest sum over groups of
    the squared share of that group; equal clusters come in the order of a digest of their least
    sequence, so the deal depends on the rows and not on their order. The last fold is dealt first:
    the largest families land there, in training, and folds 0 and 1 hold out many small ones.

    Args:
      clusters: (N,) cluster label of each row.
      groups: (N,) label of the group to balance, from 0.
      keys: N sequences; rows of one sequence are in one cluster.
      n_folds: how many folds.

    Returns:
      (N,) folds, 0 to n_folds - 1.
    """
    names, members = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(names), groups.max(initial=0) + 1), dtype=np.int64)
    np.add.at(counts, (members, groups), 1)
    # Integers, so that ties, and with them the folds, come out alike on every machine.
    weights = 10**15 // np.maximum(counts.sum(axis=0), 1) ** 2
    order = _largest_first(counts.sum(axis=1), members, keys)
    load = np.zeros((n_folds, counts.shape[1]), dtype=np.int64)
    folds = np.zeros(len(names), dtype=np.int64)
    for cluster in order:
        # |load + count|^2 - |load|^2 up to a constant of the cluster; ties go to the emptiest fold.
        cost = load @ (weights * counts[cluster])
        fold = int(np.lexsort((load.sum(axis=1), cost))[0])
        folds[cluster] = n_folds - 1 - fold
        load[fold] += counts[cluster]
    return folds[members]


def _largest_first(
    sizes: NDArray[np.int64], members: NDArray[np.int64], keys: Sequence[str]
) -> list[int]:
    """Order clusters by size, equal ones by the digest of their least sequence."""
    least: dict[int, str] = {}
    for cluster, key in zip(members.tolist(), keys, strict=True):
        if cluster not in least or key < least[cluster]:
            least[cluster] = key
    digests = {c: hashlib.sha256(key.encode()).digest() for c, key in least.items()}
    return sorted(least, key=lambda cluster: (-int(sizes[cluster]), digests[cluster]))
