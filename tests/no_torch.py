"""Import the whole service and score a variant where the training libraries are not installed.

`make check-no-torch` runs this in the base environment. With `--block` the imports are refused
instead, which shows the same in an environment that has the libraries.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

# Modules of extras, and what they need.
EXTRAS = {
    "service.client": "httpx2",
    "service.remote": "httpx2",
    "service.report.": "matplotlib",
}
FORBIDDEN = ("lightning", "onnx", "pandas", "pyarrow", "sklearn", "torch")
EXAMPLES = Path(__file__).parents[1] / "examples"


class Refusal(MetaPathFinder):
    """An import system in which the training libraries do not exist."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse what only training needs."""
        if fullname.partition(".")[0] in {*FORBIDDEN, "training"}:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def main() -> None:
    """Import, score, and look at what was loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--block", action="store_true", help="refuse imports instead")
    parser.add_argument("--models", type=Path, help="folder of models (default: the bundled ones)")
    options = parser.parse_args()
    if options.block:
        sys.meta_path.insert(0, Refusal())
    elif present := [name for name in FORBIDDEN if find_spec(name)]:
        sys.exit(f"this environment has {', '.join(present)}; use the base install")

    service = importlib.import_module("service")
    missing = tuple(name for name, needed in EXTRAS.items() if not find_spec(needed))
    modules = [
        found.name
        for found in pkgutil.walk_packages(service.__path__, "service.")
        if not found.name.startswith(missing)
    ]
    for name in modules:
        importlib.import_module(name)

    reference = sys.modules["service.reference"].Reference.open(
        EXAMPLES / "chr17.hg19.part.fa", "GRCh37"
    )
    registry = sys.modules["service.registry"]
    models = registry.Registry(options.models or registry.default_models_dir())
    scoring = sys.modules["service.scoring"]
    scorer = scoring.Scorer(
        models.load(models.names()[0], device="cpu"), reference, scoring.ScoringOptions()
    )
    variant = sys.modules["service.variants"].Variant("chr17", 31150, "G", "A")
    [status] = scorer.score([variant]).status
    if status != "ok":
        sys.exit(f"{variant} was not scored: {status}")
    loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(FORBIDDEN))
    if loaded:
        sys.exit(f"the service loads {', '.join(loaded)}")
    print(f"{len(modules)} modules of service import and score without {', '.join(FORBIDDEN)}")


if __name__ == "__main__":
    main()
