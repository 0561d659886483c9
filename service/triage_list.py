"""A list of inputs with a tier and a rank each: what every door of a triage shows.

`service.ranking` makes it of scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.triage import TIERS, Losses, Tier

CALL_NUMBERS = ("p_lowers", "p_raises", "p_negligible", "p_wrong", "expected_loss")
"""Numbers of a call, in the order in which every door reports them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageOptions:
    """What a user asks of a triage.

    Attributes:
      target: name of the one that decides tier and rank; None for the first calibrated one.
      compares: whether the other calibrated targets get their tiers too.
      error_rate: expected share of wrong calls, between 0 and 1.
      threshold: smallest effect that matters, log2 units.
      losses: of wrong calls.
    """

    target: str | None = None
    compares: bool = False
    error_rate: float = 0.2
    threshold: float = 0.1
    losses: Losses = field(default_factory=Losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One input, as it came.

    Attributes:
      ref: allele; of a pair, the sequence.
      alt: likewise.
      contig: None for a pair.
      pos: 1-based; None for a pair, and where a malformed line has none.
      id: of the record, if it has one.
      line: **1-based** number of its line in the file, where there is one.
      problem: what is wrong with a line that is no record; it has no score.
      reason: why there is no score, where that is known better than by its status.
    """

    ref: str
    alt: str
    contig: str | None = None
    pos: int | None = None
    id: str | None = None
    line: int | None = None
    problem: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is said of one input on one target; numbers that are not defined are None.

    Attributes:
      tier: what is said.
      p_lowers: probability that the true effect is below -threshold.
      p_raises: that it is above threshold.
      p_negligible: that it is between.
      p_wrong: that the call is wrong; None where there is none.
      expected_loss: of the call, or of the likelier one where none is made; in `Losses` units.
      no_call: why nothing can be called here at all, whatever the error rate; else None.
      numbers: the numbers of `service.fields.EFFECT_FIELDS` by name, log2 units.
      calibrated: whether measured effects stand behind the distribution of this very change.
    """

    tier: Tier
    p_lowers: float | None
    p_raises: float | None
    p_negligible: float | None
    p_wrong: float | None
    expected_loss: float | None
    no_call: str | None
    numbers: Mapping[str, float | None]
    calibrated: bool

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, flat."""
        return {
            "tier": self.tier.value,
            "tier_name": self.tier.plain_name,
            **{name: getattr(self, name) for name in CALL_NUMBERS},
            "no_call": self.no_call,
            **self.numbers,
            "calibrated": self.calibrated,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one input.

    Attributes:
      index: 0-based place of the input.
      given: the input.
      rank: 1-based among those with a score; None without one.
      status: a `Status`, or `service.tables.MALFORMED`.
      reason: why there is no score; None where there is one.
      normalised: normal form `pos:ref:alt`, pos 1-based.
      window_index: 0-based index of the place of the change in the model's window, on the plus
        strand, for each shift; of an indel, where it may begin, anchored on the left; empty
        without a score.
      novelty: p-value of the sequence; see `Scores`.
      novel_as: name of the aspect in which it is unusual, if it is.
      calls: by target, the deciding one first; empty without a score.
      more: further facts by name, the same for every row of a list, which writers append.
    """

    index: int
    given: Given
    rank: int | None = None
    status: str
    reason: str | None = None
    normalised: str | None = None
    window_index: tuple[int, ...] = ()
    novelty: float | None = None
    novel_as: str | None = None
    calls: Mapping[str, Call] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def call(self) -> Call | None:
        """Return what the deciding target says, None without a score."""
        return next(iter(self.calls.values()), None)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but what was given, as JSON types."""
        call = self.call
        return {
            "index": self.index,
            "id": self.given.id,
            "status": self.status,
            "reason": self.reason,
            "rank": self.rank,
            "tier": call and call.tier.value,
            "tier_name": call and call.tier.plain_name,
            "normalised": self.normalised,
            "window_index": list(self.window_index) if call else None,
            "novelty": self.novelty,
            "novel_as": self.novel_as,
            "targets": {name: one.as_dict() for name, one in self.calls.items()} or None,
            **self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageList:
    """A list of inputs, triaged.

    Attributes:
      options: what was asked for.
      targets: names of those that are shown; the first one decided tier and rank.
      no_calls: {target: why nothing can be called on it}; those without a reason are left out.
      rows: one per input: by rank, then those without a score in the order of the input.
      provenance: what made it.
    """

    options: TriageOptions
    targets: tuple[str, ...]
    no_calls: Mapping[str, str]
    rows: tuple[Row, ...]
    provenance: Mapping[str, Any]

    @property
    def target(self) -> str:
        """Name of the deciding target."""
        return self.targets[0]

    def by_input(self) -> list[Row]:
        """Return the rows in the order of the input."""
        return sorted(self.rows, key=lambda row: row.index)

    def counts(self, target: str) -> dict[Tier, int]:
        """Count the inputs with a score in each tier of a target."""
        said = [row.calls[target].tier for row in self.rows if row.calls]
        return {tier: said.count(tier) for tier in TIERS}

    @property
    def n_unscored(self) -> int:
        """Inputs without a score, and so without a tier."""
        return sum(not row.calls for row in self.rows)

    def said_wrong(self, target: str) -> float | None:
        """Mean probability that the calls on a target are wrong, None where there is none."""
        wrong = [row.calls[target].p_wrong for row in self.rows if row.calls]
        values = [value for value in wrong if value is not None]
        return sum(values) / len(values) if values else None

    def head(self) -> dict[str, Any]:
        """Return what stands beside the rows, as JSON types."""
        return {
            "provenance": dict(self.provenance),
            "research_use_only": True,
            "target": self.target,
            "error_rate": self.options.error_rate,
            "threshold": self.options.threshold,
            "counts": {
                target: {tier.value: n for tier, n in self.counts(target).items()}
                for target in self.targets
            },
            "n_unscored": self.n_unscored,
            "no_calls": dict(self.no_calls),
        }
