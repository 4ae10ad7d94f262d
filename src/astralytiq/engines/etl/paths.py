"""Finding things inside a JSON document."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from astralytiq.engines.etl.values import kind_of

# A tree of the mapped fields: None is a field taken whole, a branch one taken in part.
Taken = dict[str, "Taken | None"]

MOST_NAMED = 20  # fields of an answer: some have one for each of its records
LONGEST_NAME = 50
MOST_DIGITS = 9  # of a step that names an item of a list


def fault_in(expression: str) -> str | None:
    """Why this is no JMESPath expression; None when it is one."""
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        return str(error)
    return None


def search(expression: str, document: Any) -> Any:
    try:
        return jmespath.search(expression, document)
    except JMESPathError as error:
        raise ValueError(f"{expression!r} does not fit the answer: {error}") from None


def records_in(document: Any, records_path: str | None, *, first_page: bool = True) -> list[Any]:
    """The records of one answer. Nothing at `records_path` is an end, but never a beginning."""
    found = search(records_path, document) if records_path else document
    if isinstance(found, list):
        return found
    if records_path is None:
        raise ValueError(no_list(document, first_page=first_page))
    if found is None:
        if first_page:
            raise ValueError(nothing_at(records_path, document))
        return []
    return [found]


def no_list(document: Any, *, first_page: bool) -> str:
    if not isinstance(document, dict):
        kind = "null" if document is None else kind_of(document)
        return f"the answer is {kind}, not a list: check url and params"
    fields = named_in(document)
    if first_page:
        return f"the answer is not a list: set records_path {fields}, to '@' if it is one record"
    return f"a page is not a list, as the first was {fields}: it may have changed, or tell an error"


def nothing_at(records_path: str, document: Any) -> str:
    if not isinstance(document, dict):
        is_list = isinstance(document, list)
        remedy = "leave records_path out" if is_list else "check url and params"
        return (
            f"records_path {records_path!r} finds nothing, as the answer is {kind_of(document)}: "
            f"{remedy}"
        )
    return (
        f"records_path {records_path!r} finds nothing in the answer, or null: name where its list "
        f"of records is {named_in(document)}"
    )


def named_in(document: Mapping[str, Any]) -> str:
    names = ", ".join(name[:LONGEST_NAME] for name in islice(document, MOST_NAMED))
    return f"(its fields: {names}{', …' if len(document) > MOST_NAMED else ''})"


def pick(payload: Mapping[str, Any], path: str) -> Any:
    """The value of a field named exactly so, or else the walk `a.b.0`; None where it ends."""
    if path in payload:
        return payload[path]
    found: Any = payload
    for step in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and names_place(step, found):
            found = found[int(step)]
        else:
            return None
    return found


def names_place(step: str, items: list[Any]) -> bool:
    """Longer numbers are not even read: Python refuses those of thousands of digits."""
    if not (step.isascii() and step.isdigit()) or len(step) > MOST_DIGITS:
        return False
    return int(step) < len(items)


def tree_of(payload: Mapping[str, Any], taken: Iterable[str]) -> Taken:
    """Which parts of `payload` the paths take. A path into a list takes nothing away."""
    tree: Taken = {}
    for path in taken:
        branch, here = tree, payload
        steps = [path] if path in payload else path.split(".")
        for step in steps[:-1]:
            inner = here.get(step)
            if not isinstance(inner, Mapping):
                break
            here, below = inner, branch.setdefault(step, {})
            if below is None:
                break
            branch = below
        else:
            branch[steps[-1]] = None
    return tree


def without(payload: Mapping[str, Any], tree: Taken) -> dict[str, Any]:
    """A copy of `payload` without the parts in `tree`; a branch that is left empty goes too."""
    left = {}
    for key, value in payload.items():
        if key not in tree:
            left[key] = value
            continue
        below = tree[key]
        if below is not None and isinstance(value, Mapping) and (rest := without(value, below)):
            left[key] = rest
    return left
