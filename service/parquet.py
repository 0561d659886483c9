"""Rows of TSV -> one Parquet file, for databases and data frames.

Needs pyarrow, which the extra `parquet` installs.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import ValidationError
from service.fields import MISSING
from service.tables import FIXED_COLUMNS, flag_columns, number_columns
from service.texts import of_extra

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"varsigma"

_POS = "^[0-9]{1,10}$"


def require_pyarrow() -> None:
    """Say before the work starts whether Parquet can be written.

    Raises:
      ValidationError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401, PLC0415  (an extra)
    except ImportError:
        raise ValidationError(f"Parquet needs pyarrow; install it: {of_extra('parquet')}") from None


def write_parquet(path: Path, shards: Iterable[bytes], provenance: Mapping[str, Any]) -> None:
    """Write the rows of a TSV as one Parquet file with a row group for each shard.

    Numbers are float64, `calibrated` is Boolean, pos is int64 and alt_index int32, all others are
    text. A malformed record keeps its row; a POS that is no integer is null there. The provenance
    stands in the metadata of the schema as JSON, under the key `varsigma`.

    Args:
      path: of the file.
      shards: rows as `TsvEncoder.lines` writes them, without a header.
      provenance: what made the scores.

    Raises:
      ValidationError: pyarrow is not installed.
    """
    require_pyarrow()
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = dict.fromkeys(FIXED_COLUMNS, pa.string()) | {
        "pos": pa.int64(),
        "alt_index": pa.int32(),
        "novelty": pa.float64(),
    }
    types |= dict.fromkeys(flag_columns(provenance["targets"]), pa.bool_())
    types |= dict.fromkeys(number_columns(provenance["targets"]), pa.float64())
    metadata = {METADATA_KEY: json.dumps(dict(provenance)).encode()}
    schema = pa.schema(list(types.items()), metadata=metadata)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in shards:
            if rows:
                table = _table(rows, schema)
                writer.write_table(table, row_group_size=table.num_rows)


def _table(rows: bytes, schema: "pa.Schema") -> "pa.Table":
    """Read the rows of one shard."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    types = {field.name: field.type for field in schema} | {"pos": pa.string()}
    # A VCF may hold bytes that are no UTF-8, which Parquet text must not.
    text = rows.decode("utf-8", "replace").encode()
    table = csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(column_names=schema.names, block_size=max(len(text), 1), use_threads=False),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(column_types=types, null_values=[MISSING], strings_can_be_null=False),
    )
    place = table.schema.get_field_index("pos")
    pos = table.column(place)
    is_pos = pc.match_substring_regex(pos, _POS)
    pos = pc.if_else(is_pos, pos, None).cast(pa.int64())
    return table.set_column(place, "pos", pos).cast(schema)
