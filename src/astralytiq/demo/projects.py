"""The demo's projects, which say what belongs together, and what is still to do in them."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.security import Role
from astralytiq.features.accounts import service as accounts
from astralytiq.features.projects import service as projects
from astralytiq.features.projects.models import Project as Stored
from astralytiq.features.projects.schemas import ProjectCreate
from astralytiq.features.tasks import service as tasks
from astralytiq.features.tasks.schemas import TaskCreate

from .desk import Desk
from .plans import Project

ANALYST = "analyst@astralytiq.com"

PROJECTS = (
    Project(
        "Nature",
        "Birds, flowers and wines: which species, which cultivar?",
        "classification",
        ("penguins", "iris_flowers", "wine"),
        ("penguin_species", "penguin_groups", "iris_species", "wine_cultivar", "wine_groups"),
        (
            {
                "title": "Compare penguin_groups with the species",
                "description": "The clusters were found without them. Do they agree?",
                "tags": ["clustering"],
            },
        ),
    ),
    Project(
        "Earth and sky",
        "Weather, earthquakes, carbon dioxide and sunspots.",
        "time series",
        ("weather", "seattle_weather", "earthquakes", "alaska_earthquakes", "co2_mauna_loa",
         "sunspots"),
        ("weather_kind", "earthquake_regions"),
        (
            {
                "title": "Look at the drift of co2_mauna_loa",
                "description": "Version 1 ends with 1979, version 2 with 2001.",
                "priority": "high",
                "tags": ["drift"],
            },
        ),
    ),
    Project(
        "People and travel",
        "How people travel, vote and work, and which birds they meet in the air.",
        "survey",
        ("travel_modes", "voters_1996", "us_employment", "bird_strikes"),
        ("travel_choice", "vote_1996"),
        (
            {
                "title": "Ask what the damages B and C of bird_strikes mean",
                "description": "The rule on the column damage names the rows.",
                "priority": "high",
                "tags": ["quality"],
            },
        ),
    ),
    Project(
        "Screening",
        "Tumours, digits and drowsy drivers: classifiers with a champion and challengers. "
        "No medical advice, no claim of safety.",
        "classification",
        ("breast_cancer", "digits"),
        ("tumour_diagnosis", "digit_reader", "drowsiness_detector"),
        (
            {
                "title": "Compare version 3 of tumour_diagnosis with the one in production",
                "description": "It weighs both diagnoses alike, and scores in the shadow.",
                "tags": ["models"],
            },
            {
                "title": "Find measured minutes of drivers for drowsiness_detector",
                "description": "It learnt from a table that was made up.",
                "tags": ["models"],
            },
        ),
    ),
)  # fmt: skip


async def make(desk: Desk) -> str:
    for plan in PROJECTS:
        await desk.write(partial(ensure, desk, plan))
    return f"{len(PROJECTS)} projects, {sum(len(plan.tasks) for plan in PROJECTS)} tasks"


async def ensure(desk: Desk, plan: Project, session: AsyncSession) -> None:
    """All of a project or nothing of it. The analyst, if there is one, may work in it."""
    query = select(Stored.id).filter_by(owner_id=desk.actor.account_id, name=plan.name)
    if await session.scalar(query):
        return
    body = ProjectCreate(
        name=plan.name,
        description=plan.description,
        project_type=plan.type,
        programming_language="Python",
        project_metadata={"data_sets": list(plan.tables), "models": list(plan.models)},
    )
    project = await projects.create(session, desk.actor, body)
    analyst = await accounts.find(session, ANALYST)
    if analyst and analyst.is_active:
        await projects.put_member(session, desk.actor, project, analyst.id, Role.analyst)
    for task in plan.tasks:
        asked = TaskCreate.model_validate({**task, "project_id": project.id})
        await tasks.create(session, desk.actor, asked)
