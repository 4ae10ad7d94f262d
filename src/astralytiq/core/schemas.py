"""Base classes of what the doors take in and give out."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request body: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    """A response, read from a table row or a plain object."""

    model_config = ConfigDict(from_attributes=True)
