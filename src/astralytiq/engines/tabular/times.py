"""Text that says a time as ISO 8601 has it, read a column at a time."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLE = "2026-01-31T08:30:00Z"
# The years 1000 to 2999; 20260131 is left to be a number.
ISO = (
    r"^(?P<day>[12]\d{3}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2})(?::\d{2}(?:[.,]\d+)?)?"
    r" ?(?P<zone>Z|(?P<sign>[+-])(?P<hours>\d{2})(?::?(?P<minutes>\d{2}))?)?)?$"
)
DAY, TIME, _, SIGN, HOURS, MINUTES = range(6)


def is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def minute_of(text: Any) -> Any:
    """The minute in UTC that each text lies in, without a zone taken for UTC; else null.

    An expression of an expression, as all here: it is computed while a file is read.
    """
    import pyarrow as pa
    import pyarrow.compute as compute

    pc: Any = compute  # Its stubs know no expressions.
    parts = pc.extract_regex(text, pattern=ISO)

    def part(place: int, default: str) -> Any:
        found = pc.struct_field(parts, indices=[place])
        return pc.if_else(pc.equal(found, ""), default, found)

    def number(place: int) -> Any:
        return part(place, "00").cast(pa.int64())

    joined = pc.binary_join_element_wise(part(DAY, ""), part(TIME, "00:00"), "T")
    local = pc.strptime(joined, format="%Y-%m-%dT%H:%M", unit="s", error_is_null=True)
    east = pc.if_else(pc.equal(part(SIGN, "+"), "-"), -60, 60)
    ahead = pc.multiply(pc.add(pc.multiply(number(HOURS), 60), number(MINUTES)), east)
    found = pc.subtract(local, ahead.cast(pa.duration("s")))
    # The thirtieth of February would be the second of March.
    day = pc.utf8_slice_codeunits(part(DAY, ""), 8, 10).cast(pa.int64())
    return pc.assume_timezone(pc.if_else(pc.equal(pc.day(local), day), found, None), "UTC")
