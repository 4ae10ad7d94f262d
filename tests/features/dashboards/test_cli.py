"""What `astralytiq dashboard show` says of widgets, a line each."""

from typing import Any

import pytest

from astralytiq.features.dashboards.cli import in_words

BIRDS = [{"group": name, "value": number} for name, number in (("Adelie", 151), ("Gentoo", 123))]


def widget(kind: str, data: Any, error: str | None = None) -> dict[str, Any]:
    return {"type": kind, "data": data, "error": error}


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (widget("bar", None, "no data set"), "error: no data set"),
        (widget("metric", {"value": 93.252500001, "unit": ""}), "93.25"),
        (widget("metric", {"value": 17260.0, "unit": "bytes"}), "17,260 bytes"),
        (widget("metric", {"value": 17260, "unit": ""}), "17,260"),
        (widget("metric", {"value": None, "unit": "percent"}), "- percent"),
        (widget("bar", {"rows": BIRDS}), "2 rows: Adelie 151, Gentoo 123"),
        (widget("bar", {"rows": BIRDS * 3}),
         "6 rows: Adelie 151, Gentoo 123, Adelie 151, Gentoo 123, Adelie 151, …"),
        (widget("bar", {"rows": []}), "0 rows"),
        (widget("line", {"rows": BIRDS}), "Adelie: 151 … Gentoo: 123 (2 points)"),
        (widget("line", {"points": [{"at": "2026-01-01T00:00:00+00:00", "value": 5.0}]}),
         "2026-01-01: 5"),
        (widget("line", {"points": []}), "nothing yet"),
        (widget("table", {"rows": [{"year": 1778, "sunspots": 154.4}]}),
         "1 row, the first: year 1778, sunspots 154.4"),
        (widget("table", {"rows": []}), "0 rows"),
        (widget("events", {"events": [{}, {}]}), "2 events"),
        (widget("lineage", {"nodes": [{}]}), "1 node"),
        (widget("markdown", {"text": "Fisher's\nirises."}), "Fisher's irises."),
        (widget("markdown", {"text": "x" * 100}), "x" * 80 + "…"),
    ],
)  # fmt: skip
def test_each_kind_of_widget_in_a_line(shown: dict[str, Any], words: str) -> None:
    assert in_words(shown) == words
