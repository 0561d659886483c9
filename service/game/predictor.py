"""What this predictor is, and which of its targets is meant by the free text of a cell type."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service import __version__
from service.registry import Model

SCHEMA_VERSION = "1.0"
SPECIES = "homo_sapiens"
TYPE = "expression"

_MAX_WORDS = 5
# What evaluators call a kind of cell beside, or instead of, the name of the line that we serve.
_ALSO_CALLED = {
    "hepg2": {"hepatocyte", "hepatocytes", "hepatocellularcarcinoma"},
    "wtc11": {"ips", "ipsc", "ipscs", "inducedpluripotentstemcell", "inducedpluripotentstemcells"},
    "k562": {"chronicmyelogenousleukemia", "erythroleukemia"},
}


@dataclass(frozen=True, slots=True)
class Target:
    """What one column of a served model predicts.

    Attributes:
      model: name of the model.
      column: 0-based place of the target in the model.
      name: of the target.
      cell_type: in which it was measured.
    """

    model: str
    column: int
    name: str
    cell_type: str


def served_targets(models: Mapping[str, Model]) -> list[Target]:
    """Return the targets of all served models, the default model's first."""
    return [
        Target(name, column, described["name"], described.get("cell_type") or described["name"])
        for name, model in models.items()
        for column, described in enumerate(model.card["targets"])
    ]


def predictor_name(models: Mapping[str, Model]) -> str:
    """Return the name that stands in every response; another model file has another name."""
    name, model = next(iter(models.items()))
    return f"varsigma_{name}_{__version__}_{model.info.model_sha256[:8]}"


def help_message(models: Mapping[str, Model]) -> dict[str, Any]:
    """Return what `GET /help` says; `features` and `cell_types` run in parallel."""
    cell_types = list(dict.fromkeys(target.cell_type for target in served_targets(models)))
    default = next(iter(models.values()))
    return {
        "predictor_name": predictor_name(models),
        "model": ", ".join(models),
        "version": __version__,
        "game_schema_version": SCHEMA_VERSION,
        "publication": "none; GET /v1/models/{name} returns the model's card",
        "features": [TYPE] * len(cell_types),
        "cell_types": cell_types,
        "species": [SPECIES],
        "container_authors": "the varsigma authors",
        "model_authors": "the varsigma authors",
        "input_size": default.info.window,
        "expression_strand_specific": False,
    }


def closest_target(cell_type: str, targets: Sequence[Target]) -> Target:
    """Return the target that a cell type names, by the line or else by the kind of cell.

    One that nobody serves gets the first target, as predictors of this protocol do: one such task
    must not cost an evaluator the others, and every answer says of which cell type it is.

    >>> k562, hepg2 = (Target("m", i, name, name) for i, name in enumerate(["K562", "HepG2"]))
    >>> closest_target("human hepatocytes (Hep-G2)", [k562, hepg2]).name
    'HepG2'
    """
    words = re.findall(r"[a-z0-9]+", cell_type[:1000].casefold())
    phrases = {
        "".join(words[start : start + n])
        for start in range(len(words))
        for n in range(1, _MAX_WORDS + 1)
    }
    for target in targets:
        if phrases & _keys(target):
            return target
    for target in targets:
        if any(phrases & _ALSO_CALLED.get(key, set()) for key in _keys(target)):
            return target
    return targets[0]


def _keys(target: Target) -> set[str]:
    """The names of a target as they look without case, blanks and dashes."""
    keys = (re.sub(r"[^a-z0-9]", "", text.casefold()) for text in (target.name, target.cell_type))
    return {key for key in keys if key}
