"""What an empty home gets: its first admin, a sample source; and what the demo adds."""

from dataclasses import dataclass

from astralytiq import home
from astralytiq.core import executor
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import service as accounts
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion.schemas import SourceCreate


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
    await home.migrate(resources)
    if demo:
        await accounts.ensure_demo_accounts(resources)
        welcome.sign_in = "as data.scientist@astralytiq.com with ds123"
    first = await accounts.ensure_admin(resources)
    if first is None:
        return
    welcome.sign_in = f"as {first.email} with {first.password} (shown once)"
    if not empty and not resources.settings.production:
        await add_sample(resources)


async def add_sample(resources: Resources) -> None:
    """The source `sample_data`, run once, so that /data answers something from the start."""
    path = home.copy_sample(resources.settings)
    body = SourceCreate.model_validate(
        {"kind": "csv", "name": "sample_data", "path": path.name, "primary_key": "id"}
    )
    await resources.database.write(lambda s: ingestion.ensure_source(s, SYSTEM, body))
    await resources.database.write(lambda s: ingestion.start_run(s, SYSTEM, body.name))
    await executor.run_until_idle(resources, home.instance(resources.settings))
