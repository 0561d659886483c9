"""Sequences that a network should not be trusted on, made from ordinary ones: codes -> codes."""

from __future__ import annotations

import numpy as np

from service.sequence import Codes


def shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle the bases of each of (n, L) rows: composition stays."""
    return rng.permuted(codes, axis=1)


def shuffled_pairs(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle (n, L) rows over ACGT so that each keeps the count of every pair of bases.

    Altschul and Erickson, Molecular Biology and Evolution 1985: a random Eulerian walk, drawn by
    random last exits from each base that lead to the last one.
    """
    return np.stack([_walk(row, rng) for row in codes])


def _walk(row: Codes, rng: np.random.Generator) -> Codes:
    exits = [rng.permutation(row[1:][row[:-1] == base]) for base in range(4)]
    end = int(row[-1])
    while not _lead_to(end, exits):
        exits = [rng.permutation(bases) for bases in exits]
    walk, used = [int(row[0])], [0] * 4
    for _ in range(len(row) - 1):
        here = walk[-1]
        walk.append(int(exits[here][used[here]]))
        used[here] += 1
    return np.array(walk, np.uint8)


def _lead_to(end: int, exits: list[Codes]) -> bool:
    """Whether the last exits of all bases that have any lead to `end`."""
    for base in range(4):
        here, steps = base, 0
        while here != end and len(exits[here]) and steps < 4:
            here, steps = int(exits[here][-1]), steps + 1
        if here != end and len(exits[base]):
            return False
    return True


def random_bases(n: int, length: int, gc: float, rng: np.random.Generator) -> Codes:
    """Draw (n, length) independent bases with a share `gc` of G and C."""
    p = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return rng.choice(4, (n, length), p=p).astype(np.uint8)


def with_repeat(
    codes: Codes, length: int, units: tuple[int, int], rng: np.random.Generator
) -> Codes:
    """Write a tandem repeat of `length` bases over a random place of each of (n, L) rows.

    Args:
      codes: what stays around it.
      length: of the repeat.
      units: least and greatest length of the unit, whose bases are random.
      rng: source of randomness.
    """
    found = codes.copy()
    for row in found:
        unit = rng.integers(0, 4, rng.integers(units[0], units[1] + 1), dtype=np.uint8)
        start = rng.integers(0, len(row) - length + 1)
        row[start : start + length] = np.resize(unit, length)
    return found


def with_run(codes: Codes, length: int, base: int, rng: np.random.Generator) -> Codes:
    """Write a run of one base over a random place of each of (n, L) rows."""
    found = codes.copy()
    for row in found:
        start = rng.integers(0, len(row) - length + 1)
        row[start : start + length] = base
    return found


def with_variant(codes: Codes, rng: np.random.Generator) -> Codes:
    """Change the middle base of (n, L) rows to another one: (n, 1, 2, L), axis 2 is ref, alt."""
    middle = codes.shape[1] // 2
    alt = codes.copy()
    alt[:, middle] = (alt[:, middle] + rng.integers(1, 4, len(alt), dtype=np.uint8)) % 4
    return np.stack((codes, alt), axis=1)[:, None]
