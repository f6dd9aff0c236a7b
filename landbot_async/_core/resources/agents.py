"""`landbot.agents`: the teammates of a workspace."""

from __future__ import annotations

from landbot_async._core.models import Agent
from landbot_async._core.pages import Pages
from landbot_async._core.pagination import MOST_ROWS, Rows
from landbot_async._core.routes import LIST_AGENTS

from .base import Resource, rows_of


class Agents(Resource):
    """The agents of the workspace: the teammates to whom customers can be assigned."""

    def list(self) -> Pages[Agent]:
        """Return the agents as `Pages` with a single page, because Landbot returns them all at once.

        Source: four programs that run against the API; dev.landbot.io does not describe it.
        """

        async def fetch(_offset: int, _limit: int) -> Rows:
            rows = await self._engine.call(LIST_AGENTS, {}, read=rows_of(Agent))
            return Rows(rows.items, len(rows.items))

        return Pages(fetch, page_size=MOST_ROWS, offset=0)
