"""`arzip sample`: print text drawn from a model."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from arzip import levels
from arzip.cli.args import Settings
from arzip.cli.messages import Reporter
from arzip.cli.options import CONTEXT, MESSAGES

MODEL = levels.LEVELS[-1].model
TAME = bytes(b if (b >= 32 and b != 127) or b in b"\n\t" else ord(".") for b in range(256))


@click.command(context_settings=CONTEXT)
@click.option("-m", "--model", default=MODEL, metavar="NAME|PATH", help=f"Which model. [{MODEL}]")
@click.option("--prompt", metavar="TEXT", help="What to go on from; '-': the standard input.")
@click.option("--bytes", "size_bytes", type=click.IntRange(min=0), default=400, metavar="N", help="How many. [400]")
@click.option("--greedy", is_flag=True, help="Always the likeliest byte.")
@click.option("--temperature", type=click.FloatRange(0, 100), metavar="X", help="Below 1 bolder, above wilder. [1]")
@click.option("--top-k", type=click.IntRange(1, 256), metavar="K", help="Only of the K likeliest bytes.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P", help="Only of the likeliest P in 1.")
@click.option("--beam", type=click.IntRange(1, 64), metavar="N", help="The likeliest text that N candidates find.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Other numbers, other texts. [0]")
@MESSAGES
def sample(model: str, prompt: str | None, size_bytes: int, beam: int | None, seed: int, **options: Any) -> int:
    """Let a model write: what it has learned, seen at a glance.

    Each byte is drawn by the weights that compressing would code it with, by the network alone; what is written goes to
    the standard output, without the prompt. The same seed, the same text.
    """
    draws = {key: options.pop(key) for key in ("greedy", "temperature", "top_k", "top_p")}
    if draws["greedy"] and any(draws[key] is not None for key in ("temperature", "top_k", "top_p")):
        raise click.UsageError("--greedy leaves nothing to draw: it goes without --temperature, --top-k, --top-p")
    if beam and any(value for value in draws.values()):
        raise click.UsageError("--beam looks for the likeliest text: it goes without the other choices")
    sink = sys.stdout.buffer
    job = lambda _: run(model, read_prompt(prompt), size_bytes, draws, beam, seed, sink)  # noqa: E731
    return Reporter(Settings(**options)).each([model], job)


def read_prompt(prompt: str | None) -> bytes:
    """The prompt's bytes; "-" reads them."""
    if prompt == "-":
        return sys.stdin.buffer.read()
    return (prompt or "").encode("utf-8", "surrogateescape")


def run(
    model: str, prompt: bytes, size_bytes: int, draws: dict[str, Any], beam: int | None, seed: int, sink: BinaryIO
) -> None:
    """Write to `sink`. Raises ModelError."""
    from arzip.engine import sampling
    from arzip.weights import registry
    from arzip.weights.file import load_weights

    weights = load_weights(registry.find(model))
    table = TAME if sink.isatty() else None
    if beam:
        sink.write(sampling.search(weights, prompt, size_bytes, beam).translate(table))
    else:
        temperature = 0.0 if draws["greedy"] else 1.0 if draws["temperature"] is None else draws["temperature"]
        choice = sampling.Choice(temperature, draws["top_k"] or 0, draws["top_p"] or 1.0)
        for byte in sampling.write(weights, prompt, size_bytes, choice, seed):
            sink.write(byte.translate(table))
            sink.flush()
    sink.flush()
