"""What an empty home gets: its first admin, a sample source; and what the demo adds."""

from dataclasses import dataclass

from astralytiq import home, wiring
from astralytiq.core import executor
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import service as accounts
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion.models import Run
from astralytiq.features.ingestion.schemas import CsvSource

DEMO_SIGN_IN = "as data.scientist@astralytiq.com with ds123"


@dataclass
class Welcome:
    """The one line that is printed when everything is ready."""

    settings: Settings
    sign_in: str = "with your account"

    def line(self, port: int) -> str:
        host = self.settings.host
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}"
        return f"AstralytiQ is ready: {address} - API docs: {address}/docs - sign in {self.sign_in}"


async def set_up(resources: Resources, *, welcome: Welcome, demo: bool, empty: bool) -> None:
    """Migrate, and fill a home in which nobody is yet."""
    await home.migrate(resources)
    is_new = not await accounts.any_account(resources)
    if demo:
        await accounts.ensure_demo_accounts(resources)
        welcome.sign_in = DEMO_SIGN_IN
    elif first := await accounts.ensure_admin(resources):
        welcome.sign_in = f"as {first.email} with {first.password} (shown once)"
    if is_new and not empty and not resources.settings.production:
        await add_sample(resources)


async def add_sample(resources: Resources) -> None:
    """The source `sample_data`, run once, so that /data answers something from the start."""
    await add_source(resources, SYSTEM, "sample_data")
    wiring.load_jobs()
    await executor.run_until_idle(resources, home.instance(resources.settings))


async def add_source(resources: Resources, actor: Actor, name: str) -> Run:
    """Register a file of ours as the source `name`, and ask for its first run."""
    path = home.copy_sample(resources.settings, f"{name}.csv")
    body = CsvSource(kind="csv", name=name, path=path.name, primary_key="id")
    await resources.database.write(lambda s: ingestion.ensure_source(s, actor, body))
    return await resources.database.write(lambda s: ingestion.start_run(s, actor, name))
