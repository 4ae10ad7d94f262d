"""Reads over many tasks: pages, counts, statistics.

A task is seen by its owner, its assignee and the readers of its project. One OR over the three
would leave the indexes, so each is a part of its own, and the parts have no task in common: counts
add up, and a page is the merge of parts that stand in the answer's order already. A search reads
the entries of its words instead, which hold all that tasks are filtered by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    UnaryExpression,
    and_,
    asc,
    bindparam,
    desc,
    func,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal

from astralytiq.core.db import utc_now
from astralytiq.core.offers import Scope
from astralytiq.core.security import Actor
from astralytiq.features.projects import service as projects
from astralytiq.features.projects.search import words_asked

from .models import OPEN, Task, TaskPriority, TaskStatus, TaskWord
from .schemas import TaskStats

LAST_LETTER = "\U0010ffff"


@dataclass(frozen=True)
class Filters:
    """`project` is one that the actor may read."""

    status: TaskStatus | None = None
    priority: TaskPriority | None = None
    project: int | None = None
    assignee: int | None = None
    overdue: bool | None = None
    q: str | None = None


Condition = ColumnElement[bool]
Ids = Select[int]
Merged = Select[int] | CompoundSelect[int]
Table = type[Task] | type[TaskWord]


class Residual(ColumnElement[Any]):
    """A column that narrows what an index has found, but is no way to find it.

    SQLite would take the index of every task's status for one user's tasks of a status.
    """

    inherit_cache = True
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement)]  # noqa: RUF012

    def __init__(self, column: Any) -> None:
        self.column = column
        self.type = column.type


@compiles(Residual)
def plain(element: Residual, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.column, **options))


@compiles(Residual, "sqlite")
def unindexed(element: Residual, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.column, **options)}"


def itself(column: Any) -> Any:
    return column


async def list_visible(
    session: AsyncSession, actor: Actor, filters: Filters, limit: int, offset: int
) -> tuple[Sequence[Task], int]:
    """A page, newest first, and how many tasks match in all."""
    words = words_asked(filters.q)
    page: Merged | Sequence[int]
    if words is None:
        page, total = await browse(session, parts_of(actor, filters), limit, offset)
    else:
        page, total = await search(session, words, actor, filters, limit, offset)
    # Whole rows only for what is shown.
    return (await session.scalars(rows_of(page))).all(), total


def rows_of(ids: Merged | Sequence[int]) -> Select[Task]:
    return select(Task).where(Task.id.in_(ids)).order_by(Task.id.desc())


async def stats(session: AsyncSession, actor: Actor) -> TaskStats:
    counted = dict.fromkeys(TaskStatus, 0)
    for seen in ways_to_see(actor):
        query = select(Task.status, func.count(Task.id)).where(seen).group_by(Task.status)
        for status, number in await session.execute(query):
            counted[status] += number
    return TaskStats(**counted, total=sum(counted.values()))


async def totals(session: AsyncSession, scope: Scope) -> dict[str, int]:
    names = ("total", "open", "overdue", "changed")
    columns: list[Any] = [
        func.count(Task.id),
        func.count(Task.id).filter(Task.status.in_(OPEN)),
        func.count(Task.id).filter(is_overdue(Task)),
        func.count(Task.id).filter(Task.updated_at >= scope.since),
    ]
    queries = [select(*columns).where(seen) for seen in ways_to_see(scope.actor)]
    rows = [(await session.execute(query)).one() for query in queries]
    return {
        name: sum(numbers) for name, numbers in zip(names, zip(*rows, strict=True), strict=True)
    }


# Conditions -------------------------------------------------------------------------------------


def sees_all(actor: Actor, filters: Filters) -> bool:
    """Whether `actor` may see all that the filters leave."""
    if actor.is_admin:
        return True
    me = actor.account_id  # Without an account there is nothing to see.
    return filters.project is not None or filters.assignee == me


def narrowing(table: Table, filters: Filters, wrap: Callable[[Any], Any]) -> list[Condition]:
    equal = {
        table.status: filters.status,
        table.priority: filters.priority,
        table.project_id: filters.project,
        table.assignee_id: filters.assignee,
    }
    wanted: list[Condition] = [wrap(c) == value for c, value in equal.items() if value is not None]
    if filters.overdue is not None:
        late = is_overdue(table, wrap)
        wanted.append(late if filters.overdue else or_(table.due_date.is_(None), ~late))
    return wanted


def is_overdue(table: Table, wrap: Callable[[Any], Any] = itself) -> Condition:
    return and_(wrap(table.status).in_(OPEN), table.due_date < utc_now())


# Browsing ---------------------------------------------------------------------------------------


async def browse(
    session: AsyncSession, parts: Sequence[Ids], limit: int, offset: int
) -> tuple[Merged, int]:
    total = await session.scalar(count_query(parts)) or 0
    return page_query(parts, limit, offset, total), total


def parts_of(actor: Actor, filters: Filters) -> list[Ids]:
    """Ids of the tasks that `actor` sees and the filters leave; no id stands in two parts."""
    if sees_all(actor, filters):
        return [ids_where(*narrowing(Task, filters, itself))]
    wanted = narrowing(Task, filters, Residual)
    return [ids_where(seen, *wanted) for seen in ways_to_see(actor)]


def ids_where(*conditions: Condition) -> Ids:
    return select(Task.id.label("id")).where(*conditions)


def ways_to_see(actor: Actor) -> list[Condition]:
    """Conditions that have no task in common."""
    if actor.is_admin:
        return [true()]
    me = actor.account_id
    foreign = Residual(Task.owner_id) != me
    theirs = Task.project_id.in_(projects.readable_ids(actor))
    return [
        Task.owner_id == me,
        and_(Task.assignee_id == me, foreign),
        and_(theirs, foreign, Residual(Task.assignee_id).is_distinct_from(me)),
    ]


def count_query(parts: Sequence[Ids]) -> Select[int]:
    counts = [select(func.count()).select_from(ids.subquery()).scalar_subquery() for ids in parts]
    return select(sum(counts[1:], start=counts[0]))


def page_query(parts: Sequence[Ids], limit: int, offset: int, total: int) -> Merged:
    """A merge of the parts. Late pages are counted from the end."""
    order: UnaryExpression[Any] = desc("id")
    if offset > total // 2:
        order, limit, offset = asc("id"), min(limit, total - offset), total - offset - limit
    limit, offset = max(limit, 0), max(offset, 0)
    *ordered, last = parts
    # Indexes give the others in order. This one must be sorted: no more than the page needs.
    last = last.order_by(order).limit(offset + limit)
    ids = union_all(*ordered, select(last.subquery().c.id)) if ordered else last
    return ids.order_by(None).order_by(order).limit(limit).offset(offset)


# Searching --------------------------------------------------------------------------------------


async def search(
    session: AsyncSession,
    words: Sequence[str],
    actor: Actor,
    filters: Filters,
    limit: int,
    offset: int,
) -> tuple[Merged | Sequence[int], int]:
    """Tasks in which each of `words` begins a word; a text without any, such as "%", is nowhere."""
    if not words:
        return [], 0
    longest, *others = sorted(words, key=len, reverse=True)
    word = await only_word(session, longest)
    entries = first_entries(longest) if word is None else TaskWord.word == written(word)
    found = found_by(entries, others, actor, filters)
    if word is None or others:
        return await skim(session, found, limit, offset)
    # Its entries are in the order of the answer, and each task has one.
    return await browse(session, [found], limit, offset)


async def only_word(session: AsyncSession, beginning: str) -> str | None:
    """The word that alone begins so."""
    entries = select(TaskWord.word).where(begins_with(beginning)).limit(1)
    first_entry = entries.order_by(TaskWord.word).scalar_subquery()
    last_entry = entries.order_by(TaskWord.word.desc()).scalar_subquery()
    first, last = (await session.execute(select(first_entry, last_entry))).one()
    return first if first == last else None


def begins_with(word: str) -> Condition:
    return and_(TaskWord.word >= written(word), TaskWord.word <= written(word + LAST_LETTER))


def first_entries(beginning: str) -> Condition:
    """Each task's first word that begins so: no task twice."""
    return and_(begins_with(beginning), TaskWord.shared < written(len(beginning)))


def written(value: str | int) -> ColumnElement[Any]:
    """In the statement itself, so that PostgreSQL plans for this word and not for any."""
    return bindparam(None, value, literal_execute=True)


def found_by(entries: Condition, others: Sequence[str], actor: Actor, filters: Filters) -> Ids:
    """`entries` hold each task once."""
    wanted = [entries, *narrowing(TaskWord, filters, itself)]
    wanted += [] if sees_all(actor, filters) else [may_be_seen(actor)]
    for word in others:
        theirs = select(TaskWord.task_id).where(begins_with(word))
        wanted.append(Residual(TaskWord.task_id).in_(theirs))
    return select(TaskWord.task_id.label("id")).where(*wanted)


def may_be_seen(actor: Actor) -> Condition:
    me = actor.account_id
    theirs = TaskWord.project_id.in_(projects.readable_ids(actor))
    return or_(TaskWord.owner_id == me, TaskWord.assignee_id == me, theirs)


async def skim(
    session: AsyncSession, found: Ids, limit: int, offset: int
) -> tuple[Sequence[int], int]:
    """Read the entries once, for the page and for the count."""
    rows = (await session.execute(skim_query(found, limit, offset))).all()
    if rows or not offset:
        return [row.id for row in rows], rows[0].total if rows else 0
    return [], await session.scalar(count_query([found])) or 0


def skim_query(found: Ids, limit: int, offset: int) -> Select[int, int]:
    ids = found.cte("found")
    total = select(func.count()).select_from(ids).scalar_subquery().label("total")
    return select(ids.c.id, total).order_by(ids.c.id.desc()).limit(limit).offset(offset)
