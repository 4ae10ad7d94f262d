"""One Settings: environment and `.env`; the `ASTRALYTIQ_` prefix wins, production is strict."""

import os
import re
import secrets
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, AliasGenerator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

EXAMPLE_SECRETS = frozenset(
    {"change-me", "changeme", "secret", "your-secret-key", "your-secret-key-change-in-production"}
)
SECRET_BYTES = 32
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# A bucket of S3's own rules, and a prefix of the letters that storage keys have.
BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](/[A-Za-z0-9_.\-]+)*/?")
LOOPBACK_SCOPES = frozenset(
    {"telemetry:write", "telemetry:read", "data:read", "metrics:write", "runs:read"}
)

# What an identity may ask of us in production; elsewhere these are off unless they are set.
PRODUCTION_BUDGETS = {
    "general": "6000/minute",
    "expensive": "60/minute",
    "predict": "60000/minute",
    "telemetry": "60000/minute",
    "open": "120/minute",
}

Environment = Literal["development", "test", "production"]
Budget = Annotated[str, Field(pattern=r"^(off|\d+/(\d+ )?(second|minute|hour|day)s?)?$")]
Words = Annotated[tuple[str, ...], NoDecode]  # "a,b" in the environment, not JSON


class UnsafeSettings(Exception):
    """The settings must not be started with; the message lists every reason."""


def env_names(field: str) -> AliasChoices:
    return AliasChoices(f"astralytiq_{field}", field)


class Settings(BaseSettings):
    """Every field is an environment variable of the same name; `.env.example` explains them."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=env_names),
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # Shells and build tools export HOME and HOST for their own ends: these want the prefix,
    # also as arguments (Settings(astralytiq_home=...)).
    home: Path = Field(Path("astralytiq-home"), validation_alias=AliasChoices("astralytiq_home"))
    host: str = Field("127.0.0.1", validation_alias=AliasChoices("astralytiq_host"))
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("astralytiq_port"))
    workers: int = Field(1, ge=0, le=64, validation_alias=AliasChoices("astralytiq_workers"))
    environment: Environment = "development"
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    database_url: str = ""
    storage_url: str = ""
    storage_cache_mb: int = Field(10_240, ge=1)
    s3_endpoint_url: str = ""
    s3_region: str = ""
    s3_access_key_id: SecretStr = SecretStr("")
    s3_secret_access_key: SecretStr = SecretStr("")
    mlflow_tracking_uri: str = ""

    secret_key: SecretStr = SecretStr("")
    previous_secret_keys: SecretStr = SecretStr("")
    access_token_expire_minutes: int = Field(30, ge=1)
    session_idle_hours: float = Field(24 * 14, gt=0)
    session_days: float = Field(90, gt=0)
    allow_registration: bool = True
    allow_ws_query_token: bool = False
    default_role: Literal["viewer", "analyst", "data_scientist"] = "analyst"
    admin_email: str = "admin@localhost.local"
    admin_password: SecretStr = SecretStr("")
    anonymous_scopes: Words = ()
    cors_origins: Words = ()
    allowed_hosts: Words = ()
    trusted_proxies: Words = ()

    public_url: str = ""
    smtp_url: SecretStr = SecretStr("")
    mail_from: str = ""

    rate_limit: Budget = ""
    rate_limit_expensive: Budget = ""
    rate_limit_predict: Budget = ""
    rate_limit_telemetry: Budget = ""
    rate_limit_open: Budget = ""

    source_roots: Words = ()
    source_buckets: Words = ()
    source_secrets: Words = ()
    allow_private_sources: Words = ()

    telemetry_retention_days: int = Field(365, ge=1, le=36_500)
    telemetry_open_ear: float = Field(0.25, ge=0, le=1)
    telemetry_medium_seconds: float = Field(2, gt=0)
    telemetry_high_seconds: float = Field(5, gt=0)
    telemetry_critical_seconds: float = Field(10, gt=0)

    run_events_days: float = Field(90, gt=0)
    predictions_retention_days: int = Field(0, ge=0)  # 0: they are kept
    watch_psi: float = Field(0.1, gt=0)
    drift_psi: float = Field(0.25, gt=0)
    watch_quality_drop: float = Field(0.05, gt=0, le=1)
    drift_quality_drop: float = Field(0.1, gt=0, le=1)
    watch_least_rows: int = Field(100, ge=1)
    event_streams: int = Field(20, ge=1)
    job_lease_seconds: float = Field(60, gt=0)
    body_limit_mb: int = Field(10, ge=1)
    upload_limit_mb: int = Field(512, ge=1)
    unpacked_limit_mb: int = Field(8192, ge=1)
    download_limit_mb: int = Field(10_240, ge=1)
    slow_request_seconds: float = Field(2, gt=0)
    otel_exporter_otlp_endpoint: str = ""
    otel_service_name: str = "astralytiq"
    figures_retention_days: int = Field(7, ge=1)

    @field_validator(
        "anonymous_scopes", "cors_origins", "allowed_hosts",
        "trusted_proxies",
        "source_roots", "source_buckets", "source_secrets", "allow_private_sources",
        mode="before",
    )  # fmt: skip
    @classmethod
    def split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'astralytiq.db'}"

    @property
    def storage(self) -> str:
        return self.storage_url or str(self.home / "storage")

    @property
    def storage_folder(self) -> Path | None:
        """None if it is a bucket."""
        if self.storage.startswith("s3://"):
            return None
        return Path(self.storage.removeprefix("file://"))

    @property
    def storage_bucket(self) -> str:
        """Empty if it is a folder."""
        return "" if self.storage_folder else urlsplit(self.storage).netloc

    @property
    def mlflow_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def base_url(self) -> str:
        """What links begin with: never the Host of a request, which its sender may choose."""
        host = "localhost" if self.host in EVERY_ADDRESS else self.host
        shown = f"[{host}]" if ":" in host else host
        return self.public_url.rstrip("/") or f"http://{shown}:{self.port}"

    @property
    def readable_roots(self) -> tuple[Path, ...]:
        """Folders that file sources may read; nothing outside them is ever opened."""
        if self.source_roots:
            return tuple(Path(root).resolve() for root in self.source_roots)
        return ((self.home / "inbox").resolve(), Path("examples").resolve())

    @property
    def open_scopes(self) -> frozenset[str]:
        """Scopes that a caller without credentials has from anywhere."""
        return frozenset(self.anonymous_scopes)

    @property
    def loopback_scopes(self) -> frozenset[str]:
        """Scopes of unsigned callers on this machine; none in production or on an open bind."""
        if self.production or self.host not in LOOPBACK_HOSTS:
            return frozenset()
        return LOOPBACK_SCOPES

    @cached_property
    def signing_key(self) -> str:
        """The configured key, or one made once and kept in the home folder."""
        return self.secret_key.get_secret_value() or kept_value(self.home / "secret_key")

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The key that signs, and those before it whose signatures still count."""
        older = self.previous_secret_keys.get_secret_value().split(",")
        return (self.signing_key, *(key.strip() for key in older if key.strip()))

    @property
    def budgets(self) -> dict[str, str]:
        """How often an identity may ask, by kind of request; what is missing has no bound."""
        given = {
            "general": self.rate_limit,
            "expensive": self.rate_limit_expensive,
            "predict": self.rate_limit_predict,
            "telemetry": self.rate_limit_telemetry,
            "open": self.rate_limit_open,
        }
        usual = PRODUCTION_BUDGETS if self.production else {}
        chosen = {name: rule or usual.get(name, "off") for name, rule in given.items()}
        return {name: rule for name, rule in chosen.items() if rule != "off"}

    def checked(self) -> Self:
        """Itself, or `UnsafeSettings` naming everything that must change first."""
        if faults := list(self.faults()):
            raise UnsafeSettings("Refusing to start:\n" + "\n".join(f"  - {f}" for f in faults))
        return self

    def faults(self) -> list[str]:
        found = []
        if "*" in self.cors_origins:
            found.append(
                "CORS_ORIGINS=* would let any site act for a signed-in user: list origins."
            )
        if self.database.split(":")[0].split("+")[0] not in ("sqlite", "postgres", "postgresql"):
            found.append("DATABASE_URL must begin with sqlite:// or postgresql://.")
        found += self.telemetry_faults()
        found += self.storage_faults() + self.mail_faults()
        if self.environment != "development":
            found += self.key_faults()
        return found + (self.production_faults() if self.production else [])

    def key_faults(self) -> list[str]:
        key = self.secret_key.get_secret_value().strip()
        if not (key or self.production):
            return []  # One is made, and kept in the home.
        if len(key.encode()) >= SECRET_BYTES and key.lower() not in EXAMPLE_SECRETS:
            return []
        return [
            f"SECRET_KEY must be set to at least {SECRET_BYTES} random bytes "
            "(python -c 'import secrets; print(secrets.token_urlsafe(48))')."
        ]

    def telemetry_faults(self) -> list[str]:
        steps = ("medium", "high", "critical")
        seconds = [getattr(self, f"telemetry_{step}_seconds") for step in steps]
        if seconds == sorted(set(seconds)):
            return []
        return [
            "TELEMETRY_MEDIUM_SECONDS, TELEMETRY_HIGH_SECONDS and TELEMETRY_CRITICAL_SECONDS must "
            "grow in this order: each names how long closed eyes are of one severity at least."
        ]

    def storage_faults(self) -> list[str]:
        found = []
        scheme, has_scheme, _ = self.storage.partition("://")
        if has_scheme and scheme not in ("file", "s3"):
            found.append("STORAGE_URL must be a folder, file:///folder or s3://bucket/prefix.")
        if scheme == "s3" and not BUCKET_URL.fullmatch(self.storage):
            found.append("STORAGE_URL must read s3://bucket or s3://bucket/prefix.")
        if self.s3_endpoint_url and not is_bare_address(self.s3_endpoint_url):
            found.append("S3_ENDPOINT_URL must read https://host or http://host:9000.")
        pair = (self.s3_access_key_id, self.s3_secret_access_key)
        if sum(bool(one.get_secret_value()) for one in pair) == 1:
            found.append("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY must be set together.")
        own = self.storage_bucket
        listed = {place.removeprefix("s3://").partition("/")[0] for place in self.source_buckets}
        if own in listed:
            found.append(f"SOURCE_BUCKETS must not list {own}: the platform keeps its own there.")
        if (own or self.source_buckets) and find_spec("s3fs") is None:
            found.append("s3:// needs an extra: pip install 'astralytiq[s3]'.")
        return found

    def mail_faults(self) -> list[str]:
        found = []
        server, sender = self.smtp_url.get_secret_value(), self.mail_from
        if server and not is_address(server, "smtp", "smtps"):
            found.append("SMTP_URL must read smtp://user:password@host:587 or smtps://....")
        if server and ("@" not in sender or not sender.isprintable()):
            found.append("MAIL_FROM must be the address that mails come from: SMTP_URL is set.")
        if self.public_url and not is_address(self.public_url, "http", "https"):
            found.append("PUBLIC_URL must read https://data.example.org: links begin with it.")
        if self.production and server and not self.public_url:
            found.append("PUBLIC_URL must be set with SMTP_URL: links in mails begin with it.")
        return found

    def production_faults(self) -> list[str]:
        found = []
        older = self.previous_secret_keys.get_secret_value().split(",")
        if any(len(one.strip().encode()) < SECRET_BYTES for one in older if one.strip()):
            found.append(
                f"PREVIOUS_SECRET_KEYS must each have {SECRET_BYTES} bytes: they still count."
            )
        if self.debug:
            found.append("DEBUG must be off.")
        if not self.allowed_hosts or "*" in self.allowed_hosts:
            found.append("ALLOWED_HOSTS must list the names this server is reached by.")
        password = self.admin_password.get_secret_value()
        if password and len(password) < 12:
            found.append("ADMIN_PASSWORD must have at least 12 characters.")
        return found


def is_address(url: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # Read when asked for: ValueError if it is no number.
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def is_bare_address(url: str) -> bool:
    """Of a web server, without credentials or query."""
    if not is_address(url, "http", "https"):
        return False
    parts = urlsplit(url)
    return not ("@" in parts.netloc or parts.query or parts.fragment)


def kept_value(path: Path, size: int = 48) -> str:
    """A random value of `size` bytes, made once: processes that start together agree on one."""
    if not path.exists() or not path.stat().st_size:  # Empty: the power failed while it was made.
        path.unlink(missing_ok=True)
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        draft.touch(0o600)
        with draft.open("w") as file:
            file.write(secrets.token_urlsafe(size))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # Unlike a rename, it never replaces the other process's key.
        draft.unlink()
    return path.read_text().strip()
