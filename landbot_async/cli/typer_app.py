"""Groups of commands, without typer's decorations: plain help is quick, and as wide as the terminal.

Reasons: docs/decisions.md, "Plain help".
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


def new_app(**options: Any) -> typer.Typer:
    """Return an empty group of commands; the options are typer's."""
    return typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


class ListingGroup(TyperGroup):
    """A group of commands in which the word `list` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front of arguments that do not begin with a command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["list", *args]
        return super().parse_args(ctx, args)
