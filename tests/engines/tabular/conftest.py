"""Small tables as Parquet files, for the tests of what is computed from them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A file of the named columns: lists, or Arrow and NumPy arrays."""

    def write(
        columns: Mapping[str, Any], name: str = "table.parquet", rows_per_group: int | None = None
    ) -> Path:
        arrays = {key: values if isinstance(values, pa.Array) else pa.array(values)
                  for key, values in columns.items()}  # fmt: skip
        pq.write_table(pa.table(arrays), tmp_path / name, row_group_size=rows_per_group)
        return tmp_path / name

    return write
