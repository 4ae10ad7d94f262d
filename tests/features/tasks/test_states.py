"""Status, `is_completed` and `completed_at` are one thing, whatever comes after whatever."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from astralytiq.core.security import Role
from astralytiq.features.projects.service import Standing
from tests.conftest import SignIn
from tests.databases import Databases
from tests.features.projects.factories import Person, enter, share, start
from tests.features.tasks.factories import TASKS, add
from tests.machines import BOUNDED, Stage, staged

pytestmark = pytest.mark.anyio

STATUSES = ("pending", "in_progress", "completed", "cancelled")


async def patch(person: Person, task_id: int, **body: Any) -> dict[str, Any]:
    answer = await person.client.patch(f"{TASKS}/{task_id}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_either_of_the_two_sets_the_other(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    task_id = await add(ada)
    done = await patch(ada, task_id, is_completed=True)
    assert (done["status"], done["completed_at"] is None) == ("completed", False)
    again = await patch(ada, task_id, status="completed", title="x")
    assert again["completed_at"] == done["completed_at"]
    reopened = await patch(ada, task_id, is_completed=False)
    assert (reopened["status"], reopened["completed_at"]) == ("pending", None)
    by_status = await patch(ada, task_id, status="completed")
    assert (by_status["is_completed"], by_status["completed_at"] is None) == (True, False)
    cancelled = await patch(ada, task_id, status="cancelled")
    assert (cancelled["is_completed"], cancelled["completed_at"]) == (False, None)


async def test_what_is_not_completed_stays_as_it_is_when_one_says_so(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    task_id = await add(ada, status="in_progress", is_completed=False)
    assert (await patch(ada, task_id, is_completed=False))["status"] == "in_progress"


@pytest.mark.parametrize("status", STATUSES)
async def test_a_body_that_contradicts_itself_is_refused(sign_in: SignIn, status: str) -> None:
    ada = await enter(sign_in)
    contradiction = {"status": status, "is_completed": status != "completed"}
    url = f"{TASKS}/{await add(ada)}"
    made = await ada.client.post(TASKS, json={"title": "x", **contradiction})
    changed = await ada.client.patch(url, json=contradiction)
    assert (made.status_code, changed.status_code) == (422, 422)


# Any sequence of changes, against a model -------------------------------------------------------

TITLES = ("label", "count", "sort")


def expected(status: str, body: Mapping[str, Any]) -> str:
    """The rule in its own words, to compare with."""
    if "status" in body:
        return str(body["status"])
    if body.get("is_completed") is True:
        return "completed"
    if body.get("is_completed") is False and status == "completed":
        return "pending"
    return status


def contradicts(body: Mapping[str, Any]) -> bool:
    both = {"status", "is_completed"} <= body.keys()
    return both and body["is_completed"] is not (body["status"] == "completed")


class Team:
    """Ada has a project that Ben writes in and Cid reads; Ben has one of his own."""

    def __init__(self, stage: Stage) -> None:
        self.ada, self.ben, self.cid = (self.member(stage) for _ in range(3))
        self.people = (self.ada, self.ben, self.cid)
        self.shared = stage.do(start(self.ada, "shared"))
        self.bens = stage.do(start(self.ben, "of Ben"))
        stage.do(share(self.ada, self.shared, self.ben, "analyst"))
        stage.do(share(self.ada, self.shared, self.cid, "viewer"))

    @staticmethod
    def member(stage: Stage) -> Person:
        client = stage.person(Role.analyst)
        return Person(stage.do(client.get("/api/v1/auth/me")).json()["id"], client)

    def stands_in(self, person: Person, project: int | None) -> Standing:
        if project == self.shared:
            places = (Standing.manager, Standing.writer, Standing.reader)
            return places[self.people.index(person)]
        return Standing.manager if (project, person) == (self.bens, self.ben) else Standing.none


class ATask(RuleBasedStateMachine):
    """A task of Ada's that three people read and change."""

    stage: Stage
    team: Team

    def __init__(self) -> None:
        super().__init__()
        self.url = f"{TASKS}/{self.stage.do(add(self.team.ada, 'label'))}"
        self.now: dict[str, Any] = {"title": "label", "status": "pending", "assignee_id": None,
                                    "project_id": None}  # fmt: skip
        self.completed_at: str | None = None
        self.turn = 0
        self.tags = [self.read().headers["etag"]]

    def read(self, person: Person | None = None) -> httpx2.Response:
        return self.stage.do((person or self.team.ada).client.get(self.url))

    def sees(self, person: Person) -> bool:
        mine = person.id in (self.team.ada.id, self.now["assignee_id"])
        return mine or self.team.stands_in(person, self.now["project_id"]) >= Standing.reader

    def may(self, person: Person, fresh: Mapping[str, Any]) -> bool:
        if person is self.team.ada:
            return True
        if person.id == self.now["assignee_id"] and fresh.keys() <= {"status"}:
            return True
        return self.team.stands_in(person, self.now["project_id"]) >= Standing.writer

    def foreseen(self, person: Person, body: Mapping[str, Any], tag: str | None) -> int:
        """The answer to a change, in the order of the refusals."""
        fresh = self.fresh(body)
        project = fresh.get("project_id")
        into = self.team.stands_in(person, project) if project else Standing.manager
        refusals = (
            (422, contradicts(body)),
            (404, not self.sees(person)),
            (412, tag not in (None, "*", self.tags[-1])),
            (403, not self.may(person, fresh)),
            (404, into is Standing.none),
            (403, into < Standing.writer),
        )
        return next((status for status, is_so in refusals if is_so), 200)

    def fresh(self, body: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {**body, "status": expected(self.now["status"], body)}
        wanted.pop("is_completed", None)
        return {name: value for name, value in wanted.items() if self.now[name] != value}

    @rule(
        who=st.sampled_from((0, 0, 0, 1, 2)),
        method=st.sampled_from(("PATCH", "PUT")),
        said=st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(STATUSES),
                "is_completed": st.booleans(),
                "title": st.sampled_from(TITLES),
            },
        ),
        age=st.sampled_from((None, "*", 0, 1, 2)),
    )
    def change(self, who: int, method: str, said: dict[str, Any], age: str | int | None) -> None:
        """`age` is how old the version is that the change was made from."""
        self.send(self.team.people[who], method, said, age)

    @rule(
        who=st.sampled_from((0, 0, 1)),
        assignee=st.sampled_from((None, 0, 1, 2)),
        project=st.sampled_from(("none", "shared", "bens", "as it is")),
    )
    def hand_on(self, who: int, assignee: int | None, project: str) -> None:
        body: dict[str, Any] = {
            "assignee_id": None if assignee is None else self.team.people[assignee].id
        }
        if project != "as it is":
            projects = {"none": None, "shared": self.team.shared, "bens": self.team.bens}
            body["project_id"] = projects[project]
        self.send(self.team.people[who], "PATCH", body, None)

    def send(self, who: Person, method: str, body: dict[str, Any], age: str | int | None) -> None:
        tag = self.tags[-1 - age] if isinstance(age, int) and age < len(self.tags) else None
        tag = "*" if age == "*" else tag
        foreseen, fresh = self.foreseen(who, body, tag), self.fresh(body)
        headers = {"If-Match": tag} if tag else {}
        answer = self.stage.do(who.client.request(method, self.url, json=body, headers=headers))
        assert answer.status_code == foreseen, (body, answer.text)
        if foreseen == 200:
            self.took(fresh, answer)

    def took(self, fresh: Mapping[str, Any], answer: httpx2.Response) -> None:
        self.now |= fresh
        if self.now["status"] != "completed":
            self.completed_at = None
        elif self.completed_at is None:
            self.completed_at = answer.json()["completed_at"]
            assert self.completed_at
        tag = answer.headers["etag"]
        assert (tag in self.tags) is not bool(fresh)
        if fresh:
            self.tags.append(tag)

    @invariant()
    def everybody_finds_what_the_model_says(self) -> None:
        found = self.read()
        wanted = {**self.now, "is_completed": self.now["status"] == "completed",
                  "completed_at": self.completed_at, "owner_id": self.team.ada.id}  # fmt: skip
        assert {name: found.json()[name] for name in wanted} == wanted
        assert found.headers["etag"] == self.tags[-1]
        self.turn = (self.turn + 1) % 3
        person = self.team.people[self.turn]
        assert self.read(person).status_code == (200 if self.sees(person) else 404)


def test_any_sequence_of_changes_keeps_a_task_consistent(
    databases: Databases, tmp_path: Path
) -> None:
    with staged(databases, tmp_path) as stage:
        ATask.stage, ATask.team = stage, Team(stage)
        run_state_machine_as_test(ATask, settings=BOUNDED)
