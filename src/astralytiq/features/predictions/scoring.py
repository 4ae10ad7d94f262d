"""The computing part of a batch: a table in, the same rows with their predictions out.

It blocks for as long as that takes, and imports NumPy: jobs.py runs it in a thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astralytiq.core.executor import Work
from astralytiq.engines.models.classifying import Classifying
from astralytiq.engines.models.contract import Adapter
from astralytiq.engines.tabular.columns import arrow_schema
from astralytiq.engines.tabular.parquet import ParquetWriter

from .batching import Layout

CELLS = 1_000_000  # of a part that is in memory: input, matrix and answers together some 50 MB
MOST_ROWS = 1 << 16
BEGIN, SHARE = 0.02, 0.88  # of a job's progress: measuring and storing come after


@dataclass(frozen=True)
class Scored:
    rows: int
    skipped: int


@dataclass(frozen=True)
class Scorer:
    """A model, and where its input and its answers stand in a table."""

    adapter: Adapter
    model: Any
    features: Sequence[str]
    layout: Layout

    def score(self, work: Work, path: Path, target: BinaryIO) -> Scored:
        """Part by part; raises JobCancelled between two of them."""
        skipped = 0
        with (
            pq.ParquetFile(path) as source,
            ParquetWriter(target, self.layout.columns) as writer,
        ):
            total = source.metadata.num_rows
            for part in self.parts(source):
                table, missing = self.answered(part)
                writer.add(table)
                skipped += missing
                done = writer.rows
                work.report(BEGIN + SHARE * done / total, "predicting", f"{done} of {total} rows")
        return Scored(writer.rows, skipped)

    def parts(self, source: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        names = list(dict.fromkeys([*self.layout.kept_names, *self.features]))
        wide = len(names) + len(self.layout.columns) + len(self.features)
        rows = max(1, min(MOST_ROWS, CELLS // wide))
        yield from source.iter_batches(batch_size=rows, columns=names)

    def answered(self, part: pa.RecordBatch) -> tuple[pa.Table, int]:
        """The part with its predictions; how many of its rows have none, as a value is missing."""
        matrix = matrix_of(part, self.features)
        whole: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(matrix), axis=1)
        skipped = len(whole) - int(whole.sum())
        kept = [part.column(part.schema.get_field_index(n)) for n in self.layout.kept_names]
        schema = arrow_schema(self.layout.columns)
        types = [field.type for field in schema][len(kept) :]
        if skipped == len(whole):
            made: list[Any] = [pa.nulls(len(whole), type_) for type_ in types]
        else:
            made = self.predicted(matrix if not skipped else matrix[whole], types)
        if 0 < skipped < len(whole):
            places = pa.array(np.cumsum(whole) - 1, mask=~whole)
            made = [column.take(places) for column in made]
        return pa.Table.from_arrays([*kept, *made], schema=schema), skipped

    def predicted(self, matrix: NDArray[np.float64], types: Sequence[pa.DataType]) -> list[Any]:
        if not isinstance(self.adapter, Classifying):
            found = self.adapter.predict(self.model, matrix)
            labels, shares = pa.array(found.labels, types[0]), np.asarray(found.probabilities)
        else:
            shares = self.adapter.shares(self.model, matrix)
            classes: Any = pa.array(self.adapter.classes(self.model), types[0])
            labels = classes.take(pa.array(shares.argmax(axis=1)))
        return [labels, *(pa.array(np.ascontiguousarray(share), types[1]) for share in shares.T)]


def gives_probabilities(adapter: Adapter, model: Any, width: int) -> bool:
    """Classifiers from elsewhere may answer with labels alone."""
    return bool(adapter.predict(model, np.zeros((1, width))).probabilities)


def matrix_of(part: pa.RecordBatch, names: Sequence[str]) -> NDArray[np.float64]:
    """(rows, features); NaN where there is no value."""
    matrix = np.empty((part.num_rows, len(names)))
    for place, name in enumerate(names):
        column: Any = part.column(part.schema.get_field_index(name))
        numbers = pc.cast(column, pa.float64(), safe=False)
        matrix[:, place] = pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)
    return matrix
