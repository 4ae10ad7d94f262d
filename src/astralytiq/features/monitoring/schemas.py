"""What the monitoring doors give out."""

from datetime import datetime

from pydantic import BaseModel, Field


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
