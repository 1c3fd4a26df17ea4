"""What the tools share that give a finished model something more: n-grams, a primed memory."""

from __future__ import annotations

from collections.abc import Callable
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
MORE = click.option("--more", multiple=True, metavar="NAME=FACTOR", help="Draw so much more of a source.")
Tensors = dict[str, NDArray[Any]]


def on_model(megabytes: float, seed: int, help_seed: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command over DATA with --model, -o, --megabytes, --seed and --more, with these defaults."""

    def decorate(job: Callable[..., None]) -> click.Command:
        for option in (
            MORE,
            click.option("--seed", default=seed, help=help_seed),
            click.option("--megabytes", default=megabytes, help="Text to learn from, in 10**6 bytes."),
            click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here, not over the model."),
            click.option("--model", required=True, type=EXISTING, help="Weights file."),
            click.argument("data", nargs=-1, required=True, type=EXISTING),
        ):
            job = option(job)
        return click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})(job)

    return decorate


def revise(
    data: tuple[Path, ...],
    model: Path,
    output: Path | None,
    megabytes: float,
    more: tuple[str, ...],
    metadata_key: str,
    tensors_of: Callable[[Weights, list[Source], int], Tensors],
) -> str:
    """Write the model with the tensors that tensors_of(weights, sources, size_bytes) adds; returns what to print of it.

    It loses its primed memory, which was made for other n-grams, or other profiles.
    metadata_key: says in the file how many bytes they come from. Raises click.ClickException.
    """
    size_bytes, target = int(megabytes * 1e6), output or model
    try:
        weights = load_weights(model, with_initial_states=False)
        tensors = weights.tensors | tensors_of(weights, load_mix(list(data), more), size_bytes)
        whole = dump_weights(weights.config, tensors, weights.metadata | {metadata_key: str(size_bytes)})
        if target.suffix == ".gz":
            whole = pack(whole)
        write_whole(target, whole)
    except (ArzipError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    return f"{target}: {len(whole):,} bytes"
