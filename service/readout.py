"""A card's `readout` entry: which heads speak of the effect on a target.

A head knows the activity of its own cell type best. How a single base changes that activity is
mostly shared between cell types, and what two heads say of it differs mostly by chance: so the
effect on a target may be better told by several heads together than by its own. Activities, and
sigma, stay those of the target's own head.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictStr, field_validator

from service.entries import Entry, read_entry
from service.errors import ModelContractError

KEY = "readout"

_Weights = Annotated[
    dict[str, Annotated[StrictFloat, Field(gt=0, le=1, allow_inf_nan=False)]], Field(min_length=1)
]


class Readout(Entry):
    """Weights by which the effects of a model's heads make up the effect on a target.

    Attributes:
      version: of this entry's layout.
      weights: {target: {target whose head speaks: its weight}}; weights of a target add up to 1. A
        target that is not there is spoken of by its own head alone.
      method: how the weights were chosen.
      data: what they were chosen on.
    """

    version: Literal[1]
    weights: Annotated[dict[str, _Weights], Field(min_length=1)]
    method: StrictStr
    data: StrictStr

    @field_validator("weights")
    @classmethod
    def _adds_up(cls, weights: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for target, heads in weights.items():
            if not np.isclose(total := sum(heads.values()), 1, rtol=0, atol=1e-9):
                raise ValueError(f"{target}: weights add up to {total:g}, they must to 1")
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
        readout = read_entry(cls, KEY, block)
        named = set(readout.weights).union(*readout.weights.values())
        if unknown := sorted(named.difference(targets)):
            raise ModelContractError(
                f"{KEY}.weights: {', '.join(unknown)}: no target of the model, which has "
                f"{', '.join(targets)}"
            )
        return readout

    def matrix(self, targets: Sequence[str]) -> NDArray[np.float64]:
        """Return (T, T) weights, axis 0 the target, axis 1 the heads, in the order of `targets`."""
        own = {target: {target: 1.0} for target in targets} | self.weights
        return np.array([[own[target].get(head, 0.0) for head in targets] for target in targets])
