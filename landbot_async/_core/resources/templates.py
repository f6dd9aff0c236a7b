"""`landbot.templates`: the WhatsApp templates of a workspace."""

from __future__ import annotations

from landbot_async._core.arguments import optional_identity
from landbot_async._core.models import Template
from landbot_async._core.pages import Pages
from landbot_async._core.pagination import MOST_ROWS, Rows
from landbot_async._core.routes import LIST_TEMPLATES

from .base import Resource, rows_of


class Templates(Resource):
    """The workspace's WhatsApp templates, which may be sent to customers who were silent for more than 24 hours."""

    def list(self, *, channel_id: int | None = None) -> Pages[Template]:
        """List the templates, as `Pages` with a single page, because Landbot returns them all at once.

        Args:
            channel_id: only those of this channel.

        Raises:
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "List WhatsApp templates".
        """
        params = {"channel_id": optional_identity("channel_id", channel_id)}

        async def fetch(_offset: int, _limit: int) -> Rows:
            rows = await self._engine.call(LIST_TEMPLATES, {}, params=params, read=rows_of(Template))
            return Rows(rows.items, len(rows.items))

        # A template in several languages may be several rows with one id, so rows are told apart by themselves.
        return Pages(fetch, page_size=MOST_ROWS, offset=0, key=id)
