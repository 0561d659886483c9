"""Parquet: the rows of the TSV with types, and nothing lost between the two."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.errors import Status, ValidationError
from service.parquet import METADATA_KEY, require_pyarrow, write_parquet
from service.records import parse_lines
from service.tables import FIXED_COLUMNS, TsvEncoder, flag_columns, number_columns
from tests.service.made_scores import make_scores

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TARGETS = ["K562", "Hep-G2"]
PROVENANCE = {"model": "toy", "assembly": None, "targets": TARGETS, "options": {"shifts": [0, 5]}}
SHARDS = [
    [b"chr1\t7\trs1\tA\tC,<DEL>\t.\t.\t.\n", b"chr2\t2147483647\t.\tA\t.\t.\t.\t.\n"],
    [b"\n"],
    [b'chr1\tx\t.\tA\tC\t.\t.\t.\n', b"too short\n", b'1\t8\t"a\'\tN\t\xe9\t.\t.\t.\n'],
    [b"1\t9\ta\rb\x00c\tA\tT\t.\t.\t.\r\n"],
]  # fmt: skip
STATUSES = [
    [Status.OK, Status.SYMBOLIC_ALT, Status.NO_ALT], [], [Status.NON_ACGTN], [Status.OK]
]  # fmt: skip


def encoder() -> TsvEncoder:
    return TsvEncoder(TARGETS, provenance=PROVENANCE)


@pytest.fixture
def shards() -> list[bytes]:
    rng = np.random.default_rng(1)
    made = []
    for lines, statuses in zip(SHARDS, STATUSES, strict=True):
        novelty = rng.random(len(statuses)) ** 9
        scores = make_scores(statuses, n_targets=len(TARGETS), novelty=novelty)
        values = rng.normal(size=scores.effects.effect.shape) * 10.0 ** rng.integers(-12, 9)
        scores.effects.effect[:] += values
        scores.effects.epistemic[:] = np.nan
        made.append(encoder().lines(list(parse_lines(lines, 1)), scores))
    return made


@pytest.fixture
def path(tmp_path, shards) -> Path:
    write_parquet(tmp_path / "out.parquet", shards, PROVENANCE)
    return tmp_path / "out.parquet"


def test_the_numbers_are_those_of_the_tsv(path, shards):
    names = [*FIXED_COLUMNS, *flag_columns(TARGETS), *number_columns(TARGETS)]
    cells = [row.split(b"\t") for row in b"".join(shards).rstrip(b"\n").split(b"\n")]
    found = pq.read_table(path).to_pydict()
    assert list(found) == names
    for place, name in enumerate(names):
        column = [row[place].decode("utf-8", "replace") for row in cells]
        if name in number_columns(TARGETS) or name == "novelty":
            assert found[name] == [None if text == "." else float(text) for text in column]
        elif name in flag_columns(TARGETS):
            known = {".": None, "true": True, "false": False}
            assert found[name] == [known[text] for text in column]
            assert False in found[name]
        elif name in {"alt_index", "status", "normalised", "novel_as"}:
            assert list(map(str, found[name])) == column
    assert sum(value is not None for value in found["K562_effect"]) == 2
    assert set(found["K562_epistemic"]) == {None}


def test_text_is_kept_and_pos_is_null_where_it_is_no_integer(path):
    rows = pq.read_table(path).to_pylist()
    assert [row["pos"] for row in rows] == [7, 7, 2147483647, None, None, 8, 9]
    assert [row["contig"] for row in rows] == [
        "chr1",
        "chr1",
        "chr2",
        "chr1",
        "too short",
        "1",
        "1",
    ]
    assert [row["alt"] for row in rows] == ["C", "<DEL>", ".", "C", ".", "\ufffd", "T"]
    assert [row["id"] for row in rows] == ["rs1", "rs1", ".", ".", ".", "\"a'", "a b\x00c"]
    assert [row["status"] for row in rows][3:5] == ["malformed_record"] * 2


def test_columns_have_types_and_each_shard_its_row_group(path):
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    flags, numbers = flag_columns(TARGETS), number_columns(TARGETS)
    assert schema.names == [*FIXED_COLUMNS, *flags, *numbers]
    assert {schema.field(name).type for name in flags} == {pa.bool_()}
    assert schema.field("pos").type == pa.int64()
    assert schema.field("alt_index").type == pa.int32()
    assert schema.field("normalised").type == pa.string()
    assert schema.field("novelty").type == pa.float64()
    assert schema.field("novel_as").type == pa.string()
    assert {schema.field(name).type for name in numbers} == {pa.float64()}
    groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert groups == [3, 3, 1], "a shard of blank lines has none"


def test_the_provenance_is_in_the_schema(path):
    assert json.loads(pq.read_schema(path).metadata[METADATA_KEY]) == PROVENANCE


def test_a_file_without_rows_has_the_columns(tmp_path):
    write_parquet(tmp_path / "out.parquet", [], PROVENANCE)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 0
    assert table.column_names[-1] == "Hep-G2_quantile"


def test_the_same_shards_give_the_same_bytes(tmp_path, path, shards):
    write_parquet(tmp_path / "again.parquet", shards, PROVENANCE)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    require_pyarrow()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValidationError, match=r'pip install "\.\[parquet\]"'):
        require_pyarrow()


def test_pyarrow_is_loaded_only_where_it_is_needed():
    code = "import sys, service.parquet; assert 'pyarrow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
