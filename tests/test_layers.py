"""The direction of imports: training -> service, never back; inside service, down the flow only.

Read from the source, so that an import inside a function counts too.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICE = sorted((ROOT / "service").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))
NOT_IN_SERVICE = {
    "training", "torch", "lightning", "pandas", "sklearn", "pyarrow", "openpyxl", "onnx",
    "jinja2", "markupsafe", "matplotlib",
}  # fmt: skip
# What a module loads of an extra.
OF_EXTRAS = {
    "parquet": {"pyarrow"},
    "intervals": {"matplotlib", "markupsafe"},
    "letters": {"matplotlib"},
    "page": {"jinja2", "markupsafe"},
}

# A module imports only from the lines above its own. A new module gets its place here.
LAYERS = [
    ["errors"],
    ["entries", "mixture", "texts"],
    # core: knows neither HTTP nor the text of a VCF
    [
        "sequence",
        "variants",
        "assemblies",
        "fasta",
        "session",
        "calibration",
        "pace",
        "triage",
        "unplaced",
    ],
    ["ahead", "bgzf", "durable", "effects", "composition", "triage_list", "measured"],
    ["folder", "novelty", "background", "likelihood"],
    ["reference", "registry"],
    ["placement", "reasons"],
    ["windows", "constructs", "evidence"],
    ["cutting", "naming"],
    ["hgvs", "pasted"],
    ["spellings"],
    ["scoring"],
    ["batcher", "activity", "saturation", "joining", "gathering"],
    # codecs: text on one side, core types on the other
    ["fields", "source", "records"],
    [
        "vcf",
        "tables",
        "output",
        "schemas",
        "game",
        "spool",
        "offsets",
        "contigs",
        "tally",
        "stages",
    ],
    ["triage_schemas", "variant_schemas"],
    [
        "encoders",
        "parquet",
        "rejects",
        "answers",
        "remote",
        "ranking",
        "region_tables",
        "triage_tables",
    ],
    ["region_tables", "triage_facts"],
    # doors: join codecs and core
    ["summary", "job", "client"],
    # a run in shards
    ["identity", "settings"],
    ["plan"],
    ["markers"],
    ["shards"],
    ["merge", "workers", "stream"],
    ["orders", "cluster", "triage_file", "report"],
    ["options", "terminal", "batch", "engine", "examples"],
    ["calls", "jobs", "saturate_command", "triage_command", "triage_examples", "variant_command"],
    ["web"],
    ["app", "server"],
    ["fleet"],
    ["cli"],
    ["__main__"],
]
# What a package or module of training may import of training; what is not named here may import
# everything but the command line.
TRAINING_MAY_IMPORT = {
    "assays": set(),
    "datasets": {"assays", "datasets"},
    "evaluation": {"assays", "datasets", "evaluation"},
    "architectures": {"assays", "architectures"},
    "losses": {"architectures", "losses"},
    "samplers": {"samplers"},
    "card": {"assays", "evaluation"},
    "report": {"datasets", "evaluation", "report", "zoo"},
}
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def imported(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_there_is_something_to_check() -> None:
    assert len(SERVICE) > 10
    assert len(TRAINING) > 10


@pytest.mark.parametrize("path", SERVICE, ids=lambda path: path.stem)
def test_service_needs_nothing_of_training(path: Path) -> None:
    refused = NOT_IN_SERVICE - OF_EXTRAS.get(path.stem, set())
    assert not {name.partition(".")[0] for name in imported(path)} & refused


@pytest.mark.parametrize("path", SERVICE, ids=lambda path: path.stem)
def test_service_imports_point_down_the_flow(path: Path) -> None:
    if path.stem == "__init__":
        assert not [name for name in imported(path) if name.startswith("service")]
        return
    module = path.relative_to(ROOT / "service").parts[0].removesuffix(".py")
    assert module in RANK, f"give {module} its place in LAYERS"
    below = {name.split(".")[1] for name in imported(path) if name.startswith("service.")}
    upwards = {
        name for name in below & RANK.keys() if RANK[name] >= RANK[module] and name != module
    }
    assert not upwards


def test_the_rule_for_training_names_what_there_is() -> None:
    parts = {path.relative_to(ROOT / "training").parts[0].removesuffix(".py") for path in TRAINING}
    assert TRAINING_MAY_IMPORT.keys() <= parts


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_training_imports_point_from_networks_and_evidence_to_data(path: Path) -> None:
    part = path.relative_to(ROOT / "training").parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imported(path) if name.startswith("training.")}
    assert not used - TRAINING_MAY_IMPORT.get(part, used - {"cli"})


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_training_uses_the_core_of_the_service_not_its_doors(path: Path) -> None:
    doors = {"service.app", "service.cli", "service.settings"}
    assert not [name for name in imported(path) if name.startswith(tuple(doors))]


def test_service_runs_where_the_training_libraries_are_refused(toy_models_dir: Path) -> None:
    command = [sys.executable, "-m", "tests.no_torch", "--block", "--models", toy_models_dir]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "import and score without" in done.stdout
