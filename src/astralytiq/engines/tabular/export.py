"""Parquet into CSV and JSON Lines, a part at a time.

Text that a spreadsheet would take for a formula gets an apostrophe before it, and so does text that
has apostrophes before such a beginning; `unguarded`, which the CSV reader applies, takes one away.
So what is exported comes back as it was, and numbers stay numbers.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import io
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

Cells: TypeAlias = "pa.Array[Any]"
Render: TypeAlias = "Callable[[pa.RecordBatch], bytes]"

BATCH_ROWS = 8_192
FORMULA = r"^'*[=+\-@\t\r\n\x00]"
GUARDED = r"^'+[=+\-@\t\r\n\x00]"
NUMBER = r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\z"
encode_lines = msgspec.json.Encoder().encode_lines


def parts(path: Path, render: Render) -> Generator[bytes]:
    """The file's rows, rendered batch by batch. Blocks: to be iterated in a thread."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
            yield render(batch)


def csv(path: Path) -> Generator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(pq.read_schema(path).names)
    yield csv_rows(pa.RecordBatch.from_arrays([pa.array([name]) for name in names], names))
    yield from parts(path, csv_rows)


def jsonl(path: Path) -> Generator[bytes]:
    """NaN and infinities, which JSON does not have, are null."""
    return parts(path, lambda batch: encode_lines(batch.to_pylist()))


def csv_rows(batch: "pa.RecordBatch") -> bytes:
    import pyarrow as pa
    from pyarrow import csv as writer

    cells = [guarded(one) if pa.types.is_string(one.type) else one for one in batch.columns]
    content = io.BytesIO()
    options = writer.WriteOptions(include_header=False)
    safe = pa.RecordBatch.from_arrays(cells, [str(at) for at in range(len(cells))])
    writer.write_csv(safe, content, options)
    return content.getvalue()


def guarded(text: Cells) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    begins: Any = pc.match_substring_regex(text, FORMULA)
    number: Any = pc.match_substring_regex(text, NUMBER)
    values: Any = text
    marked: Any = pc.binary_join_element_wise(pa.scalar("'"), values, pa.scalar(""))
    found: Cells = pc.if_else(pc.and_(begins, pc.invert(number)), marked, text)
    return found


def unguarded(text: Cells) -> Cells:
    import pyarrow.compute as pc

    quoted: Any = pc.match_substring_regex(text, GUARDED)
    if not pc.any(quoted).as_py():
        return text
    found: Cells = pc.if_else(quoted, pc.utf8_slice_codeunits(text, 1), text)
    return found
