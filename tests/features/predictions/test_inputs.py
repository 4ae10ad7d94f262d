"""Rows that are plain numbers are let through at once, and exactly those."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from astralytiq.core.errors import Invalid
from astralytiq.features.predictions.inputs import checked_rows, rows_of
from astralytiq.features.predictions.schemas import PredictRequest

FEATURES = [{"name": "a", "type": "float64"}, {"name": "b", "type": "bool"}]
VALUES = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=2), st.just(10**400)
)
MOSTLY_NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), VALUES)
ROWS = st.lists(st.lists(MOSTLY_NUMBERS, min_size=1, max_size=3), max_size=4)
BODIES = st.one_of(
    st.builds(lambda rows: {"instances": rows}, ROWS),
    st.builds(
        lambda names, rows: {"dataframe_split": {"columns": names, "data": rows}},
        st.lists(st.sampled_from("abc"), max_size=3),
        ROWS,
    ),
    st.builds(
        lambda records: {"records": records},
        st.lists(st.dictionaries(st.sampled_from("abc"), MOSTLY_NUMBERS, max_size=3), max_size=4),
    ),
)


def outcome(read: Any, body: PredictRequest) -> object:
    try:
        # Whole numbers may stand as such, even beyond 2**53: models take them as floats.
        return [[float(value) for value in row] for row in read(body, FEATURES)]
    except Invalid as refusal:
        return refusal.detail


@given(BODIES)
def test_the_quick_look_and_the_long_one_agree(content: dict[str, Any]) -> None:
    body = PredictRequest.model_validate(content)
    assert outcome(rows_of, body) == outcome(checked_rows, body)


def test_a_truth_is_a_number_only_where_the_model_learnt_from_truths() -> None:
    body = PredictRequest(instances=[[1.0, True]])
    assert rows_of(body, FEATURES) == [[1.0, 1.0]]
    assert "True is not a number" in str(outcome(rows_of, PredictRequest(instances=[[True, 1]])))
