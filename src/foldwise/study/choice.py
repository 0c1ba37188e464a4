"""What every part of the study file is made of: typed nodes, and rows of tables chosen by name."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue

from foldwise.study.validation_errors import InvalidValue, shown

NAMED_OPTIONS = "Write it as {adam: {lr: 0.001}}: the name, then its options by name."


class Node(BaseModel):
    """A part of the study file: typed, immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(Node):
    """A row of a table by name, with its options: ``adam`` or ``{adam: {lr: 0.001}}`` in YAML."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict):
            raise InvalidValue(f"must be a name, or {{name: {{option: value}}}}, got {shown(value)}")
        if isinstance(value.get("name"), str) and value.keys() <= {"name", "options"}:
            return value
        if len(value) != 1:
            listed = ", ".join(map(str, value)) or "none"
            raise InvalidValue(
                f"must be one name with its options, got {len(value)} keys: {listed}", NAMED_OPTIONS
            )
        name, options = next(iter(value.items()))
        if not isinstance(options, dict | None):
            raise InvalidValue(
                f"needs the options of {name} by their names, got {shown(options)}", NAMED_OPTIONS
            )
        return {"name": str(name), "options": options or {}}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What an editor is told: the form of the file, not of the value."""
        options = {"type": "object", "maxProperties": 1, "additionalProperties": {"type": ["object", "null"]}}
        return {"title": "Choice", "anyOf": [{"type": "string"}, options]}

    def __str__(self) -> str:
        if not self.options:
            return self.name
        listed = ", ".join(f"{key} {_short(value)}" for key, value in self.options.items())
        return f"{self.name} ({listed})"


NO_PRETRAINING = Choice(name="none")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(_short(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
