"""Opening an MLflow store: quietly, whole, and up to date."""

import logging
import os
import sqlite3
import warnings
from contextlib import closing
from importlib import import_module
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SADeprecationWarning

PROXIED = "mlflow-artifacts:/"


def sqlite_file(uri: str) -> Path | None:
    database = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(database).absolute() if database else None


def hush() -> None:
    """No telemetry, nothing on stdout, no handlers of MLflow's on our loggers, only warnings.

    To be called before the first import of MLflow, which reads these variables.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A silent server costs seconds, not MLflow's minutes: jobs have retries of their own.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Raised by MLflow's own tables under SQLAlchemy 2.1.
    warnings.filterwarnings("ignore", "The ``noload`` loader", SADeprecationWarning)


def create(file: Path) -> None:
    """Make the schema beside its place and move it there whole: a kill leaves no half of one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    # Locations without a folder in them: home may move, and clients may come through a server.
    stores = import_module("mlflow.store.tracking.sqlalchemy_store")  # 3 s
    tables = stores.SqlAlchemyStore(f"sqlite:///{fresh}", PROXIED)
    tables.engine.dispose()
    fresh.replace(file)


def upgrade(file: Path) -> None:
    """Bring a file of an older MLflow up to date, which MLflow itself refuses to do unasked."""
    utils = import_module("mlflow.store.db.utils")  # 3 s
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{file}")
    revision = utils._get_schema_version(engine)
    if revision != utils._get_latest_schema_revision():
        copy_of(file, file.with_name(f"{file.name}.{revision}.bak"))
        utils._upgrade_db(engine)
    engine.dispose()


def copy_of(file: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))  # whole, though others may be writing
