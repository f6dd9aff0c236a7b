"""`landbot.channels`: where the bots of a workspace meet people."""

from __future__ import annotations

from landbot_async._core.arguments import identity, optional_flag, optional_text
from landbot_async._core.models import Channel, ChannelType
from landbot_async._core.pages import Pages
from landbot_async._core.routes import GET_CHANNEL, LIST_CHANNELS

from .base import Resource, one


class Channels(Resource):
    """The channels of the workspace."""

    def list(
        self, *, type: ChannelType | None = None, active: bool | None = None, page_size: int = 100, offset: int = 0
    ) -> Pages[Channel]:
        """List the channels, as `Pages`: nothing is requested until they are awaited or iterated.

        Args:
            type: only those of this type, such as `"whatsapp"`.
            active: True for active ones only, False for the others only.
            page_size: channels in a page, 1 to 100.
            offset: channels to leave out at the beginning.

        Raises:
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "List channels".
        """
        params = {"type": optional_text("type", type), "active": optional_flag("active", active)}
        return self._pages(LIST_CHANNELS, Channel, params, page_size=page_size, offset=offset)

    async def get(self, channel_id: int) -> Channel:
        """Return one channel. Its `token` is in clear: treat it like your own.

        Raises:
            NotFoundError: there is no such channel in this workspace.

        Source: dev.landbot.io, "Get a channel".
        """
        return await self._engine.call(
            GET_CHANNEL, {"channel_id": identity("channel_id", channel_id)}, read=one(Channel)
        )
