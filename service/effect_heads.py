"""A card's `effect_heads` entry: which heads speak of the effect on a target.

A head knows the activity of its own cell type best. What a change of one base does may all the same
be told better by several heads together, where what they differ by is chance more than biology:
`varsigma-train ablation table` sets the ways side by side. Activities, and sigma, stay those of the
target's own head.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictStr, field_validator

from service.entries import Entry, read_entry
from service.errors import ModelContractError

KEY: Final = "effect_heads"
"""Of the entry on a card."""

_Weights = Annotated[dict[str, Annotated[StrictFloat, Field(gt=0)]], Field(min_length=1)]


class EffectHeads(Entry):
    """Weights by which the effects of a model's heads make up the effect on a target.

    Attributes:
      version: of this entry's layout.
      weights: {target: {target whose head speaks: its weight}}; weights of a target add up to 1. A
        target that is not there is spoken of by its own head alone.
      chosen_on: measurements on which the weights were chosen.
    """

    version: Literal[1]
    weights: Annotated[dict[str, _Weights], Field(min_length=1)]
    chosen_on: StrictStr

    @field_validator("weights")
    @classmethod
    def _adds_up(cls, weights: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for target, heads in weights.items():
            if not math.isclose(total := sum(heads.values()), 1, rel_tol=0, abs_tol=1e-9):
                raise ValueError(
                    f"{target}: weights add up to {total!r}; divide each by that, they must to 1"
                )
        return weights

    @classmethod
    def from_card(cls, block: object, targets: Sequence[str]) -> Self | None:
        """Read the entry of a card with these targets; None where there is none.

        Raises:
          ModelContractError: a key is missing, unknown or malformed, or a target is none of the
            model's.
        """
        if block is None:
            return None
        entry = read_entry(cls, KEY, block)
        named = set(entry.weights).union(*entry.weights.values())
        if unknown := sorted(named.difference(targets)):
            raise ModelContractError(
                f"{KEY}.weights: {', '.join(unknown)}: no target of the model, which has "
                f"{', '.join(targets)}"
            )
        return entry

    def matrix(self, targets: Sequence[str]) -> NDArray[np.float64]:
        """Return (T, T) weights, axis 0 the target, axis 1 the heads, in the order of `targets`."""
        own = {target: {target: 1.0} for target in targets} | self.weights
        return np.array([[own[target].get(head, 0.0) for head in targets] for target in targets])
