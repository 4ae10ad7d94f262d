"""What an empty home gets: its first admin, a sample source; and what the demo adds."""

import asyncio
from dataclasses import dataclass, field

from astralytiq import home, wiring
from astralytiq.core import executor
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor
from astralytiq.core.settings import Settings, UnsafeSettings
from astralytiq.features.accounts import first_accounts
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion import starting
from astralytiq.features.ingestion.models import Run
from astralytiq.features.ingestion.schemas import CsvSource

DEMO_SIGN_IN = "as data.scientist@astralytiq.com with ds123"


@dataclass
class Welcome:
    """The one line that is printed when everything is ready."""

    settings: Settings
    sign_in: str = "with your account"
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def line(self, port: int) -> str:
        """What to print; the first password in it is told by this, and forgotten."""
        first_accounts.forget_first_password(self.settings)
        self.told.set()
        host = self.settings.host
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        host = everywhere.get(host, host)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}"
        return f"AstralytiQ is ready: {address} - API docs: {address}/docs - sign in {self.sign_in}"


async def set_up(resources: Resources, *, welcome: Welcome, demo: bool, empty: bool) -> None:
    """Migrate, and fill a home in which nobody is yet."""
    await home.migrate(resources)
    await home.refuse_other_storage(resources)
    await refuse_demo_accounts(resources)
    # A start that was killed before it told the first password did not get to the end of this.
    is_new = not await first_accounts.any_account(resources) or first_accounts.untold(
        resources.settings
    )
    if demo:
        await first_accounts.ensure_demo_accounts(resources)
        welcome.sign_in = DEMO_SIGN_IN
    elif first := await first_accounts.ensure_admin(resources):
        how = f"{first.password} (shown once)" if first.password else "ADMIN_PASSWORD"
        welcome.sign_in = f"as {first.email} with {how}"
    if is_new and not empty and not resources.settings.production:
        await add_sample(resources)


async def refuse_demo_accounts(resources: Resources) -> None:
    """Their passwords stand in the README."""
    if not resources.settings.production:
        return
    if known := await first_accounts.demo_accounts_with_known_passwords(resources):
        raise UnsafeSettings(
            f"Refusing to start: this home has demo accounts with public passwords "
            f"({', '.join(known)}). Change them first: astralytiq user password EMAIL."
        )


async def add_sample(resources: Resources) -> None:
    """The source `sample_data`, run once, so that /data answers something from the start."""
    await add_source(resources, SYSTEM, "sample_data")
    wiring.load_jobs()
    await executor.run_until_idle(resources, f"{home.instance(resources.settings)}:setup")


async def add_source(resources: Resources, actor: Actor, name: str) -> Run:
    """Register a file of ours as the source `name`, and ask for its first run."""
    path = home.copy_sample(resources.settings, f"{name}.csv")
    body = CsvSource(kind="csv", name=name, path=path.name, primary_key="id")
    await resources.database.write(lambda s: ingestion.ensure_source(s, actor, body))
    return await resources.database.write(lambda s: starting.start_run(s, actor, name))
