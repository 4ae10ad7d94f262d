"""What the monitoring doors give out."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from astralytiq.core.schemas import Answer


class Health(BaseModel):
    status: str
    service: str
    version: str
    environment: str
    timestamp: datetime
    uptime_seconds: float
    db_connected: bool
    redis_connection: str
    etl_last_run: datetime | None
    etl_status: str
    mlflow_uri: str


class Liveness(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    checks: dict[str, str] = Field(description="each dependency, and 'ok' or what is wrong")


class ServiceCard(BaseModel):
    message: str
    service: str
    version: str
    status: str
    timestamp: datetime
    documentation: str
    endpoints: dict[str, str]


class CheckRead(Answer):
    status: str = Field(description="healthy, unhealthy or disabled")
    latency_ms: float | None
    detail: str


class SystemUse(Answer):
    cpu: float | None = Field(description="percent; null if it could not be told in time")
    memory: float | None
    disk: float | None = Field(description="of the disk that holds the home")


class DetailedHealth(BaseModel):
    status: str = Field(description="healthy, degraded or unhealthy")
    version: str
    timestamp: datetime
    components: dict[str, str]
    checks: dict[str, CheckRead]
    system: SystemUse


# Figures ----------------------------------------------------------------------------------------


class ProcessRead(BaseModel):
    """The process whose figures these are: each of several API processes counts its own."""

    pid: int
    started_at: datetime
    uptime_seconds: float


class Figures(BaseModel):
    count: int
    errors: int
    client_errors: int = Field(description="answers of 400 to 499")
    server_errors: int = Field(description="answers of 500 and more")
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float


class DoorFigures(Figures):
    method: str
    path: str = Field(description="as in the OpenAPI document; '(none)' for paths that are not")


class WindowRead(BaseModel):
    name: str
    seconds: float = Field(description="how much time it really covers")
    overall: Figures
    endpoints: list[DoorFigures] = Field(description="where most time was spent comes first")


class PerformanceRead(BaseModel):
    process: ProcessRead
    timestamp: datetime
    quantile_error: float = Field(description="by how much a quantile may be off, as a share of it")
    in_progress: int
    windows: list[WindowRead]


class How(StrEnum):
    """How a number of rows was come by."""

    counted = "counted"
    estimated = "estimated"
    at_least = "at_least"


class TableRead(Answer):
    name: str
    rows: int
    how: How


class PoolRead(Answer):
    size: int
    in_use: int
    idle: int
    overflow: int


class DatabaseRead(Answer):
    backend: str
    timestamp: datetime
    latency_ms: float = Field(description="of a query that reads nothing, the median of three")
    connection_ms: float = Field(description="until there was a connection")
    size_bytes: int
    pools: dict[str, PoolRead] = Field(description="of this process")
    tables: list[TableRead] = Field(
        description="rows: up to 10,000 counted, above that estimated, or 'at_least' so many"
    )


class CpuRead(BaseModel):
    count: int
    percent: float
    load: list[float] = Field(description="of 1, 5 and 15 minutes")


class MemoryRead(BaseModel):
    total_bytes: int
    available_bytes: int
    percent: float


class DiskRead(BaseModel):
    total_bytes: int
    free_bytes: int
    percent: float


class ProcessUse(ProcessRead):
    memory_bytes: int
    threads: int
    cpu_seconds: float


class SystemRead(BaseModel):
    version: str
    environment: str
    timestamp: datetime
    python: str
    platform: str
    cpu: CpuRead
    memory: MemoryRead
    disk: DiskRead = Field(description="of the disk that holds the home")
    process: ProcessUse


class TestRead(Answer):
    name: str
    passed: bool
    expected: str
    status_code: int | None = Field(description="null if there was no answer in time")
    latency_ms: float
    detail: str


class SelfTestRead(Answer):
    status: str = Field(description="passed or failed")
    total: int
    passed: int
    failed: int
    skipped: list[str] = Field(description="doors that are not tried, and why")
    results: list[TestRead]
    timestamp: datetime
