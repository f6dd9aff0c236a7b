"""Groups of commands, without typer's decorations: plain help is quick, and as wide as the terminal.

Reasons: docs/decisions.md, "Plain help".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from .environment import CLIENT, variables_help

# Typer shows Python's type behind the name of an argument, as in `CUSTOMER <int>`.
_TYPE: Final = re.compile(r" <\S+>$")


class _Conversion:
    """The conversion of a parameter's value, for which typer has pydantic.

    Importing pydantic takes a third of a command's time. So typer converts only what needs it, such as paths and words
    from a list: not what has a parser, no text, and nothing that is not given.

    Args:
        typers_own: returns typer's conversion.
    """

    def __init__(self, typers_own: Callable[[], Any]) -> None:
        self._typers_own = typers_own

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """Return the value that the command gets."""
        described: Any = getattr(param, "type_descriptor", None)
        many = param.multiple or param.nargs == -1
        info = getattr(described, "parameter_info", None)
        if info is None:
            return self._typers_own().coerce(value, param=param, ctx=ctx)
        parser = info.parser
        if value is None:
            return () if many else None
        if parser is not None and not many:
            return parser(value)
        if described.annotation in (str, list[str]):
            return list(value) if many else value
        return self._typers_own().coerce(value, param=param, ctx=ctx)


def _quick(parameters: list[Any]) -> list[Any]:
    """Return the parameters, with our conversion. It has no effect on a typer that converts in another way."""
    for each in parameters:
        typers_own = getattr(each, "get_runtime_param", None)
        if typers_own is not None and "get_runtime_param" not in vars(each):
            each.get_runtime_param = partial(_Conversion, typers_own)
    return parameters


class Command(TyperCommand):
    """A command with usual words in its help and errors: without Python's types, braces and pydantic's prefix."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, and the option that shows the help."""
        return _quick(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. A wrong value is said without the words that pydantic puts in front."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as wrong:
            wrong.message = wrong.message.removeprefix("Value error, ")
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the line that shows how to use it."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, each with its help."""
        for kind, title in (("argument", "Arguments"), ("option", "Options")):
            records = [each.get_help_record(ctx) for each in self.get_params(ctx) if each.param_type_name == kind]
            rows = [(_TYPE.sub("", name) if kind == "argument" else name, text) for name, text in filter(None, records)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class App(typer.Typer):
    """A group of commands whose help is plain."""

    def command(
        self, name: str | None = None, *, variables: Iterable[str] = CLIENT, **options: Any
    ) -> Callable[[Any], Any]:
        """Return a decorator that adds a command, whose help names these variables; the other options are typer's."""
        return super().command(name, cls=Command, epilog=variables_help(variables), **options)


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, and the option that shows the help."""
        return _quick(super().get_params(ctx))


def new_app(cls: type[TyperGroup] = Group, **options: Any) -> App:
    """Return an empty group of commands; the options are typer's."""
    return App(
        cls=cls,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


class ListingGroup(Group):
    """A group of commands in which the word `list` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front of arguments that do not begin with a command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["list", *args]
        return super().parse_args(ctx, args)
