"""`landbot.hooks`: where Landbot posts the messages of a channel."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import UTC, datetime

from landbot_async._core.arguments import (
    NOT_GIVEN,
    Given,
    identity,
    optional_secret,
    optional_text,
    web_address,
)
from landbot_async._core.errors import LandbotError, NotFoundError
from landbot_async._core.models import MessageHook
from landbot_async._core.pages import Pages
from landbot_async._core.pagination import MOST_ROWS
from landbot_async._core.responses import accepted
from landbot_async._core.routes import CREATE_HOOK, DELETE_HOOK, GET_HOOK, LIST_HOOKS
from landbot_async._core.secret import Secret

from .base import Resource, one

# How often `ensure` creates a hook before it gives up.
_CREATES = 4
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Hooks(Resource):
    """The message hooks of a channel: the URLs to which Landbot posts its messages."""

    def list(self, channel_id: int) -> Pages[MessageHook]:
        """List the hooks of a channel, as `Pages`. Their tokens are in clear: treat them like your own.

        Raises:
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "List message hooks".
        """
        return self._pages(LIST_HOOKS, MessageHook, {}, ids=_channel(channel_id), page_size=MOST_ROWS, offset=0)

    async def create(
        self, channel_id: int, url: str, *, token: str | None = None, name: str | None = None
    ) -> MessageHook:
        """Create a hook. It is not retried if its outcome is unknown, because a second hook doubles every delivery.

        Args:
            channel_id: the channel whose messages are posted.
            url: where Landbot posts them.
            token: sent with each delivery as `Authorization: Token …`; without one, anybody can post to the URL.
            name: a name to find the hook by.

        Raises:
            UnprocessableEntityError: Landbot does not accept the URL.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Create a message hook".
        """
        given, token = Secret(token), None  # no frame of a traceback shows it
        return await self._create(channel_id, url, optional_secret("token", given), name)

    async def get(self, channel_id: int, hook_id: int) -> MessageHook:
        """Return one hook.

        Raises:
            NotFoundError: there is no such hook on this channel.

        Source: dev.landbot.io, "Get a message hook".
        """
        return await self._engine.call(GET_HOOK, _hook(channel_id, hook_id), read=one(MessageHook))

    async def delete(self, channel_id: int, hook_id: int) -> None:
        """Delete a hook. It is safe to retry.

        Raises:
            NotFoundError: there is no such hook on this channel.

        Source: dev.landbot.io, "Delete a message hook".
        """
        await self._engine.call(DELETE_HOOK, _hook(channel_id, hook_id), read=accepted)

    async def ensure(
        self, channel_id: int, url: str, *, token: Given[str | None] = NOT_GIVEN, name: str | None = None
    ) -> MessageHook:
        """Make sure that exactly one hook of this name (or, without a name, of this URL) exists, with these settings.

        An equal hook is kept: the newest if there are several, so that concurrent callers agree. Otherwise a new hook
        is created before the old one is deleted, so that no message is missed. If creating it has an unknown outcome,
        the hooks are listed again before the next attempt. They are listed once more after others were deleted, so that
        callers who want different hooks cannot delete each other's and leave none.

        Args:
            channel_id: the channel whose messages are posted.
            url: where Landbot posts them.
            token: as for `create`. Left out, the existing token stays; None removes it.
            name: the name to match by, such as `"my-bot on my laptop"` if the URL changes. None matches by URL, and
                keeps the existing name.

        Returns:
            The hook. If several callers do this at the same time, another of them may have replaced it since.

        Raises:
            UnprocessableEntityError: Landbot does not accept the URL.
            ServerError, APIConnectionError: with `safe_to_retry` false a hook may have been created; ensuring it again
                tidies up.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Message hooks".
        """
        given, token = Secret(token), None  # no frame of a traceback shows it
        web_address("url", url)
        optional_text("name", name)
        keep_token = given.reveal() is NOT_GIVEN
        wanted = None if keep_token else optional_secret("token", given)
        made: MessageHook | None = None
        creates, tidied = 0, False
        old: set[int] = set()  # the hooks that existed before
        while True:
            # The hook that this call created is the wanted one, even if Landbot shows it otherwise.
            own = None if made is None else made.id
            hooks = sorted(await self.list(channel_id).collect(), key=_age)
            matching = [each for each in hooks if _matches(each, url, name)]
            if keep_token:
                wanted = _latest_token(matching)
            equal = [each for each in matching if each.id == own or (each.url == url and _has_token(each, wanted))]
            if made is not None and not equal:
                equal = await self._those_that_exist(channel_id, made.id)
            if equal:
                kept = equal[-1]
                # Once this call has created one, a later hook is another caller's, who will delete this one.
                others = [each for each in matching if not creates or each.id in old or _age(each) < _age(kept)]
                others = [each for each in others if each is not kept]
                if tidied or not others:
                    return kept
                await self._delete_all(channel_id, others)
                tidied = True
                continue
            if creates == _CREATES:
                raise _gone(creates)
            creates, tidied, old = creates + 1, False, {each.id for each in matching}
            try:
                called = _latest(each.name for each in matching) if name is None else name
                made = await self._create(channel_id, url, wanted, called)
            except LandbotError as error:
                if error.safe_to_retry or creates == _CREATES:
                    raise

    async def _create(self, channel_id: int, url: str, token: Secret | None, name: str | None) -> MessageHook:
        given = {"url": web_address("url", url), "token": token, "name": optional_text("name", name)}
        body = {key: value for key, value in given.items() if value is not None}
        return await self._engine.call(CREATE_HOOK, _channel(channel_id), json=body, read=one(MessageHook))

    async def _those_that_exist(self, channel_id: int, hook_id: int) -> builtins.list[MessageHook]:
        """Return the hook that the listing does not show, because it lags or because somebody else deleted it."""
        try:
            return [await self.get(channel_id, hook_id)]
        except NotFoundError:
            return []

    async def _delete_all(self, channel_id: int, hooks: builtins.list[MessageHook]) -> None:
        for hook in hooks:
            try:
                await self.delete(channel_id, hook.id)
            except NotFoundError:
                # Another caller that ensures the same was faster.
                continue


def _age(hook: MessageHook) -> tuple[datetime, int]:
    return hook.created_at or _LONG_AGO, hook.id


def _matches(hook: MessageHook, url: str, name: str | None) -> bool:
    return hook.url == url if name is None else hook.name == name


def _has_token(hook: MessageHook, token: Secret | None) -> bool:
    return (hook.token or None) == (None if token is None else token.reveal())


def _latest_token(hooks: Iterable[MessageHook]) -> Secret | None:
    """Return the last token that is not empty."""
    secret = Secret(_latest(hook.token for hook in hooks))
    return secret if secret.reveal() else None


def _latest(texts: Iterable[str | None]) -> str | None:
    """Return the last text that is not empty."""
    said = [text for text in texts if text]
    return said[-1] if said else None


def _gone(creates: int) -> LandbotError:
    return LandbotError(
        f"The hook was created {creates} times, and each time it was gone at once: somebody else deletes it.",
        method=CREATE_HOOK.method,
        route=CREATE_HOOK.template,
        attempts=creates,
        transient=True,
    )


def _channel(channel_id: int) -> dict[str, int | str]:
    return {"channel_id": identity("channel_id", channel_id)}


def _hook(channel_id: int, hook_id: int) -> dict[str, int | str]:
    return {**_channel(channel_id), "hook_id": identity("hook_id", hook_id)}
