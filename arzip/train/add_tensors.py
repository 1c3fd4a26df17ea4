"""Shared by the commands that add tensors to a trained model: n-grams, initial states of context mixing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from arzip.errors import ArzipError
from arzip.network.config import Weights
from arzip.system.files import write_whole
from arzip.train.data import Source, load_mix
from arzip.weights.file import dump_weights, load_weights, pack

EXISTING = click.Path(exists=True, path_type=Path)
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}
MORE = click.option("--more", multiple=True, metavar="NAME=FACTOR", help="Draw so much more of a source.")
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Request:
    """Options of a command that adds tensors. output: None writes over the model. megabytes: 10**6 bytes of text."""

    data: tuple[Path, ...]
    model: Path
    output: Path | None
    megabytes: float
    seed: int
    more: tuple[str, ...]


def model_command(megabytes: float, seed: int, help_seed: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command over DATA with --model, -o, --megabytes, --seed and --more, with these defaults.

    The decorated function gets them as a Request, and its own options by name.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def command(**options: Any) -> None:
            request = Request(**{field.name: options.pop(field.name) for field in fields(Request)})
            function(request, **options)

        body: Callable[..., None] = command
        for option in (
            MORE,
            click.option("--seed", default=seed, help=help_seed),
            click.option("--megabytes", default=megabytes, help="Text to learn from, in 10**6 bytes."),
            click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here, not over the model."),
            click.option("--model", required=True, type=EXISTING, help="Weights file."),
            click.argument("data", nargs=-1, required=True, type=EXISTING),
        ):
            body = option(body)
        return click.command(context_settings=CONTEXT)(body)

    return decorate


def update_model(
    request: Request, metadata_key: str, tensors_of: Callable[[Weights, list[Source], int], Tensors]
) -> str:
    """Write the model with the tensors that tensors_of(weights, sources, size_bytes) adds; returns a line to print.

    The model loses its initial states, which were made for other n-grams or other profiles.
    metadata_key: names in the file how many bytes the tensors come from. Raises click.ClickException.
    """
    size_bytes, target = int(request.megabytes * 1e6), request.output or request.model
    try:
        weights = load_weights(request.model, with_initial_states=False)
        tensors = weights.tensors | tensors_of(weights, load_mix(list(request.data), request.more), size_bytes)
        whole = dump_weights(weights.config, tensors, weights.metadata | {metadata_key: str(size_bytes)})
        if target.suffix == ".gz":
            whole = pack(whole)
        write_whole(target, whole)
    except (ArzipError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    return f"{target}: {len(whole):,} bytes"
