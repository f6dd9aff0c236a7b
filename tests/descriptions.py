"""An OpenAPI description to hold things against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker


class Operation:
    """One operation of a description."""

    def __init__(
        self, description: Description, template: str, method: str, shared: list[Any], described: dict[str, Any]
    ) -> None:
        followed = description.followed
        self.description = description
        self.id: str = described["operationId"]
        self.call = (method.upper(), template)
        self.idempotent: bool = described["x-idempotent"]
        self.params = [followed(each) for each in (*shared, *described.get("parameters", ()))]
        self.body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        self.responses = {status: followed(response) for status, response in described["responses"].items()}

    def names(self, where: str) -> set[str]:
        return {each["name"] for each in self.params if each["in"] == where}

    def schema_of(self, status: int) -> dict[str, Any] | None:
        """Return the schema of a response; None if it has no body."""
        response = self.responses[str(status)]
        return response["content"]["application/json"]["schema"] if "content" in response else None

    def check(self, response: httpx.Response) -> None:
        """Assert that an answer is one that is described."""
        schema = self.schema_of(response.status_code)
        if schema is None:
            assert response.content == b""
        else:
            assert self.description.errors_of(response.json(), schema) == []


class Description:
    """One of the descriptions that come with the sandbox, by the name of its file."""

    def __init__(self, name: str) -> None:
        self.document: dict[str, Any] = json.loads(
            (files("landbot_async.sandbox.apis") / "openapi" / name).read_text(encoding="utf-8"),
        )
        self.components: dict[str, Any] = self.document["components"]
        self.closed: dict[str, Any] = _closed(self.components)
        """The components, with all that is not described wrong: servers take it, but the client need not send it."""
        self.schemas: dict[str, Any] = self.components["schemas"]
        self.operations = {operation.id: operation for operation in self._operations()}

    def _operations(self) -> Iterator[Operation]:
        for template, item in self.document["paths"].items():
            shared = item.get("parameters", [])
            for method, described in item.items():
                if method != "parameters":
                    yield Operation(self, template, method, shared, described)

    def followed(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the target of a reference, or the node itself."""
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node

    def errors_of(self, value: Any, schema: dict[str, Any], *, closed: bool = False) -> list[str]:
        """Return the errors of a value, by its schema."""
        components = self.closed if closed else self.components
        validator = Draft202012Validator({"components": components, "allOf": [schema]}, format_checker=FormatChecker())
        return [error.message for error in validator.iter_errors(value)]


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {name: _closed(each) for name, each in node.items()}
    return {**inner, "additionalProperties": False} if node.get("type") == "object" and "properties" in node else inner
