"""`landbot.fields`: the custom fields of customers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import anyio

from landbot_async._core.arguments import filled_text, identity, json_object, json_value, mapping
from landbot_async._core.attempts import retry_advice
from landbot_async._core.errors import ConflictError, FieldsError, LandbotError, NotFoundError
from landbot_async._core.models import Field, FieldType
from landbot_async._core.responses import accepted
from landbot_async._core.routes import CREATE_FIELD, DELETE_FIELD, GET_FIELD, UPDATE_FIELD, Route

from .base import Resource, one, one_or

# The order matters: a bool is an int, and a datetime is a date.
_TYPES: tuple[tuple[type, FieldType], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "float"),
    (str, "string"),
    (datetime, "datetime"),
    (date, "date"),
    (dict, "object"),
)
# What a text has to look like if its type is one of these.
_EXAMPLES: Mapping[str, str] = {"date": "2026-01-02", "datetime": "2026-01-02T03:04:05"}
_NAME = re.compile(r"[a-z0-9_]+", re.ASCII)
# How often `set` creates a field before it gives up.
_CREATES = 3


class Fields(Resource):
    """The custom fields of customers. Landbot sets or deletes one field a request."""

    async def get(self, customer_id: int, name: str) -> Field:
        """Return one field.

        Raises:
            NotFoundError: there is no such customer, or the customer has no such field.

        Source: dev.landbot.io, "Get a customer field".
        """
        return await self._engine.call(GET_FIELD, field_ids(customer_id, name), read=one(Field))

    async def create(
        self,
        customer_id: int,
        name: str,
        value: Any,
        *,
        type: FieldType | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Field:
        """Create a field. It is not retried if its outcome is unknown; `set` is.

        Args:
            customer_id: the customer.
            name: lower-case letters, digits and underscores.
            value: a bool, int, float, str, date, datetime or dict; a date is sent in ISO 8601.
            type: the type; None takes it from the value. With `"date"` and `"datetime"` a text has to be ISO 8601.
            extra: further details for Landbot to keep.

        Returns:
            The field in Landbot's response; if there is none, the field as it was sent.

        Raises:
            NotFoundError: there is no such customer.
            UnprocessableEntityError: Landbot does not accept the value, or not as that type.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been done all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Create a customer field".
        """
        return await self._write(CREATE_FIELD, customer_id, name, value, type, extra)

    async def update(
        self,
        customer_id: int,
        name: str,
        value: Any,
        *,
        type: FieldType | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Field:
        """Change an existing field. Arguments and result are those of `create`. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer, or the customer has no such field.
            UnprocessableEntityError: Landbot does not accept the value, or not as that type.

        Source: dev.landbot.io, "Update a customer field".
        """
        return await self._write(UPDATE_FIELD, customer_id, name, value, type, extra)

    async def set(
        self,
        customer_id: int,
        name: str,
        value: Any,
        *,
        type: FieldType | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Field:
        """Update the field, or create it if it is missing. Arguments and result are those of `create`.

        If creating it has an unknown outcome, or somebody else was faster, it is updated before it is created again.

        Raises:
            NotFoundError: there is no such customer.
            UnprocessableEntityError: Landbot does not accept the value, or not as that type.
            ServerError, APIConnectionError: if `safe_to_retry` is false, the field may exist all the same; setting it
                again checks that first.

        Source: dev.landbot.io, "Update a customer field" and "Create a customer field".
        """
        creates = 0
        while True:
            with contextlib.suppress(NotFoundError):
                return await self.update(customer_id, name, value, type=type, extra=extra)
            creates += 1
            try:
                return await self.create(customer_id, name, value, type=type, extra=extra)
            except LandbotError as error:
                may_be_there = isinstance(error, ConflictError) or not error.safe_to_retry
                if not may_be_there or creates == _CREATES:
                    raise

    async def set_many(self, customer_id: int, values: Mapping[str, Any]) -> dict[str, Field]:
        """Set several fields, at the speed that the limit allows.

        If it is cancelled, some fields may have been written. Setting all of them again is safe.

        Args:
            customer_id: the customer.
            values: the values by name, each as for `create`.

        Returns:
            The fields, by name.

        Raises:
            FieldsError: some were not written. `.failed` has them with their errors, `.written` the others.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Update a customer field" and "Create a customer field".
        """
        identity("customer_id", customer_id)
        values = mapping("values", values)
        for name, value in values.items():
            field_ids(customer_id, name)
            field_body(value, None, None)
        done: dict[str, Field | Exception] = {}

        async def write(name: str, value: Any) -> None:
            try:
                done[name] = await self.set(customer_id, name, value)
            except Exception as error:  # noqa: BLE001  # raised below, outside of the group, which would wrap it
                done[name] = error

        async with anyio.create_task_group() as group:
            for name, value in values.items():
                group.start_soon(write, name, value)
        written: dict[str, Field] = {}
        failed: dict[str, LandbotError] = {}
        for name in values:
            outcome = done[name]
            if isinstance(outcome, Field):
                written[name] = outcome
            elif isinstance(outcome, LandbotError):
                failed[name] = outcome
            else:
                raise outcome
        if failed:
            safe = all(error.safe_to_retry for error in failed.values())
            transient = any(error.transient for error in failed.values())
            causes = ", ".join(f"{name} ({type(error).__name__})" for name, error in failed.items())
            raise FieldsError(
                f"{len(failed)} of {len(values)} fields were not written: {causes}. `.failed` says why, `.written`"
                f" holds the others. {retry_advice(safe, transient)}",
                written=written,
                failed=failed,
                method=UPDATE_FIELD.method,
                route=UPDATE_FIELD.template,
                ids={"customer_id": customer_id},
                attempts=sum(error.attempts for error in failed.values()),
                safe_to_retry=safe,
                transient=transient,
            )
        return written

    async def delete(self, customer_id: int, name: str) -> None:
        """Delete a field. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer, or the customer has no such field.

        Source: dev.landbot.io, "Delete a customer field".
        """
        await self._engine.call(DELETE_FIELD, field_ids(customer_id, name), read=accepted)

    async def _write(  # noqa: PLR0917  # all of one field
        self,
        route: Route,
        customer_id: int,
        name: str,
        value: Any,
        type: FieldType | None,
        extra: Mapping[str, Any] | None,
    ) -> Field:
        body = field_body(value, type, extra)
        # The response to a write is not documented. If it has no field, the one that was sent was accepted.
        read = one_or(Field, Field(name, body["type"], body["value"]))
        return await self._engine.call(route, field_ids(customer_id, name), json=body, read=read)


def field_ids(customer_id: int, name: str) -> dict[str, int | str]:
    """Return the ids of a field's path, with the checks of the arguments."""
    name = filled_text("name", name)
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be lower-case letters, digits and underscores, not {name!r}")
    return {"customer_id": identity("customer_id", customer_id), "field_name": name}


def field_body(value: Any, type: FieldType | None, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the body of a field that is written, with the checks of the arguments.

    Landbot does not document the values of a type. Only dates are checked, because a text that is no date would be kept
    as one, and be found out late.
    """
    inferred = next((name for kind, name in _TYPES if isinstance(value, kind)), None)
    name = inferred if type is None else filled_text("type", type)
    if name is None:
        raise TypeError(f"value must be a bool, number, string, date, datetime or dict, not {value.__class__.__name__}")
    return {
        "type": name,
        "value": json_value("value", _plain(value, name)),
        "extra": {} if extra is None else json_object("extra", extra),
    }


def _plain(value: Any, type: str) -> Any:
    """Return a value as JSON has it: a date as its text. Raise an error if it does not fit a type of dates."""
    if type in _EXAMPLES and value is not None:
        _check_date(value, type)
    return value.isoformat() if isinstance(value, date) else value


def _check_date(value: Any, type: str) -> None:
    """Raise an error unless a value is a date of this type, or its text. The error does not show the value."""
    fitting = isinstance(value, str | date) and not (type == "date" and isinstance(value, datetime))
    if not fitting:
        raise TypeError(f"value must be a {type} or its text in ISO 8601, not {value.__class__.__name__}")
    if isinstance(value, str):
        try:
            (date if type == "date" else datetime).fromisoformat(value)
        except ValueError:
            raise ValueError(f"value must be a {type} in ISO 8601, such as {_EXAMPLES[type]!r}") from None
