"""Completers of options' and arguments' values: what may follow `incomplete` on a command line."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

Items = list[CompletionItem]


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Leave it to the shell, which knows files best."""
    return [CompletionItem(incomplete, type="file")]


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """The names of models at hand; of a path, its files."""
    from arzip.weights import registry

    names = sorted({registry.name_of(path) for path in registry.paths()})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)] or complete_files(
        ctx, param, incomplete
    )
