"""A designed sequence and its flanks -> the window of a model: `sequence, flanks -> base codes`.

A reporter assay measures an insert inside a plasmid. What a caller sends may be the insert, the
insert with its adapters, or a stretch of the plasmid around it.
"""

from collections.abc import Sequence

from service.sequence import Codes, encode

ADAPTERS = ("AGGACCGGATCAACT", "CATTGCGTGAACCGA")
"""The bases (5', 3') that touch the insert of a lentiMPRA plasmid. They are inside the graph of the
served models, so a window begins after the one and ends before the other."""

_LEFT, _RIGHT = ADAPTERS


def construct_windows(
    sequences: Sequence[str], width: int, *, upstream: str = "", downstream: str = ""
) -> Codes:
    """Cut the windows of N sequences that stand between the same flanks.

    The window lies centred on the insert: what stands between the adapters where the construct has
    both, else the whole sequence. A shorter insert has its neighbours in the construct around it,
    and N beyond the end of a flank; (W - length) // 2 bases are to its left.

    Args:
      sequences: N of them, each of one base or more over ACGTN, either case.
      width: W, bases in a window.
      upstream: flank to the left of every sequence.
      downstream: flank to the right.

    Returns:
      (N, W) codes, read-only.

    Raises:
      ValidationError: another letter; the position is that in all of them, one after the other.
    """
    codes = encode("".join(sequences))
    # The common case, a library of inserts as long as the window, costs one look-up for all.
    if set(map(len, sequences)) == {width} and encode(_LEFT).tobytes() not in codes.tobytes():
        return codes.reshape(-1, width)
    reach = width + max(map(len, ADAPTERS))
    before = upstream[-reach:].upper().rjust(reach, "N")
    after = downstream[:reach].upper().ljust(reach, "N")
    rows = [_cut(before, sequence.upper(), after, width) for sequence in sequences]
    return encode("".join(rows)).reshape(-1, width)


def _cut(before: str, sequence: str, after: str, width: int) -> str:
    """Cut one window out of a construct; `before` and `after` are longer than the window."""
    construct = f"{before}{sequence}{after}"
    start, end = len(before), len(before) + len(sequence)
    left = construct.find(_LEFT, start, end)
    right = construct.find(_RIGHT, left + len(_LEFT), end) if left >= 0 else -1
    if right < 0:  # not both in what was sent: those nearest to its middle count
        middle = (start + end) // 2
        left, right = construct.rfind(_LEFT, 0, middle), construct.find(_RIGHT, middle)
    if left >= 0 and right >= 0:
        inner = left + len(_LEFT), right
        # Bases of a flank complete an insert; they do not stand in for what was sent.
        if inner[1] - inner[0] > width:
            inner = max(start, inner[0]), min(end, inner[1])
        start, end = inner
    n_around = width - (end - start)
    first = start - n_around // 2 if n_around > 0 else start + -n_around // 2
    return construct[first : first + width]
