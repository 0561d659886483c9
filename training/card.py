"""The card of a model: what it is, what it learnt from, how good it is.

`Card -> card.json -> README.md`. Tables of metrics enter by `update_metrics`, never by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from service.registry import CARD_VERSION
from training.assays import UNMOVED, checked_offsets
from training.evaluation.drawings import drawings
from training.evaluation.metrics import Estimate
from training.evaluation.report import Cell, Report, Table

CARD, README, MODEL = "card.json", "README.md", "model.onnx"
INTENDED_USE = (
    "Research on regulatory variants: the effect of a DNA change on the activity that a reporter "
    "assay would measure, with its uncertainty. Research use only: not for diagnosis, and no "
    "statement on pathogenicity."
)
LIMITS = (
    "Research use only; an effect on reporter activity is neither benign nor pathogenic.",
    "Sees a window of 200 bp between the adapters of a lentiMPRA insert: no distal elements, no "
    "chromatin, no genomic position.",
    "Served targets are K562, HepG2 and WTC11; other cell types are extrapolation.",
    "The served targets were measured with an integrated lentiMPRA; the replicated assays of "
    "Mattioli et al. that teach the noise, and the CAGI5 assays used to validate, are episomal "
    "plasmids.",
    "sigma is the SD of one measurement in the assay that its target names, not of a patient's "
    "tissue.",
    "'K562-matched' is the literature's word for GP1BB, HBB, HBG1 and PKLR: only PKLR was assayed "
    "in K562, the others in HEL 92.1.7, also erythroid.",
)

FACTS = {
    "novelty": ("method", "data", "n", "n_windows", "data_sha256"),
    "background": ("variants", "scheme", "data", "n", "seed", "strands", "shifts", "data_sha256"),
}
"""What the page of a model shows of its two large entries."""
OPTIONAL = (*FACTS, "likelihood_ratios", "ensemble", "offsets")
"""Entries that a card is written without where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCard:
    """One served target.

    Attributes:
      name: as in the model's metadata.
      cell_type: cells it was measured in.
      assay: training table whose scale it has.
      sigma_source: where its sigma gets its gradient from.
    """

    name: str
    cell_type: str
    assay: str
    sigma_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCard:
    """How one member of a mixed ensemble came about.

    Attributes:
      recipe: in the zoo.
      fingerprint: of the recipe as trained.
      seed: of the run.
    """

    recipe: str
    fingerprint: str
    seed: int

    @property
    def file(self) -> str:
        """Name of its weights, which lie beside those of members of other recipes."""
        return f"{self.recipe}.{self.seed}.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTable:
    """One table that the weights learnt from; `sha256` is of the file that was read."""

    name: str
    citation: str
    licence: str
    url: str
    sha256: str
    n_train: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything `card.json` holds, in its order.

    Attributes:
      metrics: {key: report as JSON}, see `training.evaluation.report.Report`.
      calibration: distribution of the effect, see `service.calibration`; None for uncalibrated.
      headline: {name, value} of the one figure that lists of models show; None before validation.
      novelty: what training inserts look like, see `service.novelty.Familiar`; None before that was
        fitted.
      background: effects of random variants, see `service.background.Background`; None before they
        were scored.
      likelihood_ratios: of sizes of effects, see `service.likelihood.LikelihoodRatios`; None before
        they were fitted.
      window: bases of genome that the model takes.
      members: networks in the graph; as many as `seeds`.
      recipe: of all members; of a mixed ensemble the recipes, each once, joined by `+`.
      fingerprint: likewise.
      ensemble: recipe and seed of each member of a mixed ensemble, in the order of the graph; None
        where all are of one recipe.
      offsets: bases by which the graph moves the construct to the right in the trunk's window, to
        answer with the mean over them; None where it stands still.
    """

    name: str
    summary: str
    contract_version: str
    model_sha256: str
    window: int
    members: int
    seeds: tuple[int, ...]
    recipe: str
    fingerprint: str
    data_digest: str
    units: str
    targets: tuple[TargetCard, ...]
    training_data: tuple[TrainingTable, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    headline: Mapping[str, Any] | None = None
    licence: str = "Apache-2.0"
    intended_use: str = INTENDED_USE
    limits: tuple[str, ...] = LIMITS
    novelty: Mapping[str, Any] | None = None
    background: Mapping[str, Any] | None = None
    likelihood_ratios: Mapping[str, Any] | None = None
    ensemble: tuple[MemberCard, ...] | None = None
    offsets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse members without a seed each, and offsets that no graph can have.

        Raises:
          ValueError: their numbers differ, the seeds are not those of the ensemble, or the offsets
            are not as `training.assays.checked_offsets` wants them.
        """
        if self.offsets is not None:
            try:
                checked_offsets(self.offsets)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.name}: the card's offsets {self.offsets!r} cannot be: export it again"
                ) from error
        if len(self.seeds) != self.members:
            raise ValueError(f"{self.name}: {self.members} members but seeds {list(self.seeds)}")
        if self.ensemble and tuple(one.seed for one in self.ensemble) != self.seeds:
            raise ValueError(f"{self.name}: seeds {list(self.seeds)} are not those of the ensemble")

    @property
    def placements(self) -> tuple[int, ...]:
        """Offsets of the construct in each pass through a network."""
        return self.offsets or UNMOVED

    def to_json(self) -> dict[str, Any]:
        """JSON value of `card.json`; as cards were before them where there is no such entry."""
        value = asdict(self)
        absent = {key for key in OPTIONAL if value[key] is None}
        kept = {key: part for key, part in value.items() if key not in absent}
        return {"schema_version": CARD_VERSION, **kept}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Card:
        """Inverse of `to_json`.

        Raises:
          ValueError: a card of another schema.
        """
        fields = dict(value)
        if (version := fields.pop("schema_version", None)) != CARD_VERSION:
            raise ValueError(f"card schema {version!r}; this code reads {CARD_VERSION}")
        fields["seeds"], fields["limits"] = tuple(fields["seeds"]), tuple(fields["limits"])
        fields["targets"] = tuple(TargetCard(**target) for target in fields["targets"])
        fields["training_data"] = tuple(TrainingTable(**row) for row in fields["training_data"])
        if ensemble := fields.get("ensemble"):
            fields["ensemble"] = tuple(MemberCard(**member) for member in ensemble)
        if isinstance(offsets := fields.get("offsets"), list):
            fields["offsets"] = tuple(offsets)
        return cls(**fields)


def read_card(model_dir: Path) -> Card:
    """Read `card.json` of a model folder."""
    return Card.from_json(json.loads((model_dir / CARD).read_text(encoding="utf-8")))


def write_card(model_dir: Path, card: Card) -> None:
    """Write a model folder's card.json and README.md, and the index of the folder above.

    Raises:
      ValueError: the card is of another model.onnx.
    """
    digest = hashlib.sha256((model_dir / MODEL).read_bytes()).hexdigest()
    if digest != card.model_sha256:
        raise ValueError(
            f"{model_dir / MODEL} has digest {digest[:12]}, its card says "
            f"{card.model_sha256[:12]}: export the model again"
        )
    # Through JSON and back, so that what is rendered is what a reader of the file would see.
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(model_dir / CARD, text)
    _replace(model_dir / README, render_readme(Card.from_json(json.loads(text))))
    write_index(model_dir.parent)


def update_metrics(model_dir: Path, key: str, report: Report) -> None:
    """Put a report into a card under `key`, in place of an earlier one, and render its README."""
    value = read_card(model_dir).to_json()
    value["metrics"] = {**value["metrics"], key: report.to_json()}
    write_card(model_dir, Card.from_json(value))


def update_calibration(model_dir: Path, calibration: Mapping[str, Any] | None) -> None:
    """Put a fitted distribution into a card, or take it out with None, and render its README.

    Another one makes other intervals: tables that judged the old ones leave the card.
    """
    card = read_card(model_dir)
    stale = () if calibration == card.calibration else ("calibration", "uncertainty_")
    metrics = {key: value for key, value in card.metrics.items() if not key.startswith(stale)}
    write_card(model_dir, replace(card, calibration=calibration, metrics=metrics))


def update_entry(
    model_dir: Path,
    key: Literal["novelty", "background", "likelihood_ratios"],
    entry: Mapping[str, Any],
    report: Report,
) -> None:
    """Put an entry into a card, and the report on it under the same key of its metrics."""
    value = read_card(model_dir).to_json()
    metrics = {**value["metrics"], key: report.to_json()}
    write_card(model_dir, Card.from_json({**value, key: entry, "metrics": metrics}))


def update_headline(model_dir: Path, name: str, cell: Cell) -> None:
    """Set the figure that lists of models show, from a cell of a report."""
    value = cell.value if isinstance(cell, Estimate) else cell
    write_card(model_dir, replace(read_card(model_dir), headline={"name": name, "value": value}))


def render_readme(card: Card) -> str:
    """Markdown page of a model, from its card alone."""
    targets = _table(
        ("target", "cell type", "scale", "sigma from"),
        [(t.name, t.cell_type, t.assay, t.sigma_source) for t in card.targets],
    )
    data = _table(
        ("table", "rows trained on", "licence", "citation", "source", "SHA-256"),
        [
            (d.name, f"{d.n_train:,}", d.licence, d.citation, f"<{d.url}>", f"`{d.sha256}`")
            for d in card.training_data
        ],
    )
    facts = _table(
        ("", "value"),
        [
            ("input", f"{card.window} bases of genome as codes A0 C1 G2 T3 N4"),
            ("output", f"mu and sigma per member and target, {card.units}"),
            ("members", f"{card.members}, seeds {', '.join(map(str, card.seeds))}"),
            *_origins(card),
            *_placements(card),
            ("model.onnx", f"contract {card.contract_version}, SHA-256 `{card.model_sha256}`"),
            ("training data", f"digest `{card.data_digest}`"),
            ("licence", card.licence),
        ],
    )
    parts = [
        f"# {card.name}",
        "<!-- Generated from card.json by varsigma-train; edit neither by hand. -->",
        card.summary,
        facts,
        f"## Intended use\n\n{card.intended_use}",
        f"## Targets\n\n{targets}",
        f"## Calibration\n\n{_calibration(card)}",
        f"## Novelty and quantile\n\n{_doubt(card)}",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
        f"## Training data\n\n{data}",
        "A table whose licence is not stated is cited as published data and not redistributed.",
    ]
    for value in card.metrics.values():
        report = Report.from_json(value)
        parts.append(report.to_markdown().rstrip())
        if drawn := drawings(report):
            parts.append(f"### {report.title}, drawn\n\n{drawn}")
    return "\n\n".join(parts) + "\n"


def write_index(models_dir: Path) -> None:
    """Write the README of a folder of models from their cards."""
    cards = [read_card(path.parent) for path in sorted(models_dir.glob(f"*/{CARD}"))]
    rows = [
        (
            f"[{card.name}]({card.name}/README.md)",
            card.summary,
            ", ".join(target.name for target in card.targets),
            str(card.members),
            "uncalibrated" if card.calibration is None else "calibrated",
            f"{card.headline['name']} {card.headline['value']:.3f}" if card.headline else "-",
        )
        for card in cards
    ]
    parts = [
        "# Models",
        "<!-- Generated from the cards by varsigma-train; do not edit by hand. -->",
        "Each folder holds `model.onnx`, its `card.json` and a README made from it. Research use "
        "only.",
        _table(("model", "summary", "targets", "members", "intervals", "headline"), rows),
    ]
    _replace(models_dir / README, "\n\n".join(parts) + "\n")


def _origins(card: Card) -> list[tuple[str, str]]:
    """Recipe and fingerprint of the model, or of each member where they differ."""
    if card.ensemble is None:
        return [("recipe", f"`{card.recipe}`, fingerprint `{card.fingerprint}`")]
    return [
        (f"member {number}", f"`{one.recipe}`, fingerprint `{one.fingerprint}`, seed {one.seed}")
        for number, one in enumerate(card.ensemble, start=1)
    ]


def _placements(card: Card) -> list[tuple[str, str]]:
    if card.offsets is None:
        return []
    moved = f"the construct moved by {_listed(card.offsets)} bases to the right"
    return [("mean over", f"{moved}: of mu; of sigma the geometric mean")]


def _listed(numbers: Sequence[int]) -> str:
    """Numbers as words of a sentence."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def _calibration(card: Card) -> str:
    if card.calibration is None:
        return (
            "Uncalibrated: intervals are what members and passes differ by, and were not fitted to "
            "measured variant effects."
        )
    return _table(("what", "value"), list(_facts(card.calibration)))


def _doubt(card: Card) -> str:
    """What the two large entries are; their numbers stay in card.json."""
    rows: list[tuple[str, str]] = []
    for key, facts in FACTS.items():
        entry = getattr(card, key)
        rows += _facts(
            {key: "none" if entry is None else {fact: entry.get(fact) for fact in facts}}
        )
    return (
        "`novelty` compares the sequence of a variant with training inserts, `quantile` ranks its "
        "effect among those of random variants (`background`). Their tables are in card.json.\n\n"
        + _table(("what", "value"), rows)
    )


def _facts(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and text of every value, nested ones by dotted names; the card has all digits."""
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _facts(value, f"{prefix}{name}.")
        else:
            values = value if isinstance(value, list | tuple) else [value]
            yield f"{prefix}{name}", ", ".join(map(_text, values))


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = tuple(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    return Table("", tuple(columns), escaped).to_markdown()


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
