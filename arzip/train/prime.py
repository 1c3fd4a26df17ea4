"""`python -m arzip.train.prime DATA... --model NAME.safetensors`: learn how the memory should start.

Documents of the mix are coded one after the other, each by a memory that starts as a file's would; what its
maps and weights have become is averaged, by use, into the next start. Must not know archives.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from arzip.coding import byte_to_bits as bits
from arzip.context_mixing import predictor, pretrained
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.context_mixing.state import MAP_COUNT_BITS, USE_NETWORK, CMState, create
from arzip.jit.compile import njit
from arzip.network import forward_cpu
from arzip.network.config import Weights
from arzip.preprocess import bcj
from arzip.probability import P_ONE
from arzip.train.data import Source, Windows
from arzip.train.revise import Tensors, on_model, revise

SMALLEST, LARGEST = 1 << 12, 1 << 16  # bytes of a document
AVERAGE = 24  # the newest document is averaged with no more than so many before it
ENTRY_USES, ROW_USES = 64, 4000  # no document counts for more in an entry of a map, in a row of weights
TRUSTED_USES = 2000  # a row used less often leans towards the mean of its set
MASK = (1 << MAP_COUNT_BITS) - 1


def draw(sources: list[Source], size_bytes: int, seed: int) -> list[NDArray[np.uint8]]:
    """Documents of the training split, SMALLEST..LARGEST bytes each, drawn by the sources' shares."""
    rng = np.random.default_rng(seed)
    shares = np.array([s.share for s in sources])
    found: list[NDArray[np.uint8]] = []
    while sum(d.size for d in found) < size_bytes:
        source = sources[rng.choice(len(sources), p=shares)]
        size = int(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
        start = int(source.train[rng.integers(len(source.train)), 0])
        if len(source.train) == 1:
            start = int(rng.integers(max(source.train[0, 1] - size, 1)))
        end = min(start + size, source.data.size)
        if end - start >= SMALLEST // 2 and not Windows.is_held_out(source, start, end):
            found.append(filtered(source.data[start:end]))
    return found


def filtered(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A document as the memory gets to see it."""
    raw = text.tobytes()
    return np.frombuffer(bcj.apply(raw, bcj.choose(raw)), np.uint8)


@njit()
def opine(network, state, texts, sizes, opinions):  # type: ignore[no-untyped-def]
    """The network's P(bit = 1) of every bit: texts (L, T) -> opinions (L, T, 8); sizes (L,) fall."""
    lanes = sizes.size
    last = np.zeros(lanes, np.uint8)
    for t in range(sizes[0]):
        while sizes[lanes - 1] <= t:
            lanes -= 1
        forward_cpu.step(network, state, last, 0, lanes)
        for lane in range(lanes):
            bits.bit_probabilities(state.freqs, lane, np.int64(texts[lane, t]), opinions[lane, t])
            last[lane] = texts[lane, t]


def ask(weights: Weights, documents: list[NDArray[np.uint8]]) -> list[NDArray[np.int32]]:
    """The network's opinions (T, 8) of each document's bits, each coded alone."""
    result: dict[int, NDArray[np.int32]] = {}
    network = forward_cpu.load_network(weights)
    order = sorted(range(len(documents)), key=lambda i: -documents[i].size)
    for at in range(0, len(order), 64):
        batch = order[at : at + 64]
        sizes = np.array([documents[i].size for i in batch])
        texts = np.zeros((len(batch), sizes[0]), np.uint8)
        for row, i in enumerate(batch):
            texts[row, : sizes[row]] = documents[i]
        opinions = np.zeros((*texts.shape, 8), np.int32)
        opine(network, forward_cpu.init_state(network, len(batch)), texts, sizes, opinions)
        result |= {i: opinions[row, : sizes[row]].copy() for row, i in enumerate(batch)}
    return [result[i] for i in range(len(documents))]


@njit()
def learn(cm, text, opinions, used):  # type: ignore[no-untyped-def]
    """Code a document in one lane; count which weight rows are used. Returns its cost in bits."""
    opinion, out, bit_now, value = np.zeros((4, 1), np.int64)
    predictor.begin(cm, 0, 1)
    total = 0.0
    for t in range(text.size):
        predictor.set_step(cm, t)
        for bit in range(8):
            opinion[0] = opinions[t, bit]
            predictor.predict(cm, 0, 1, opinion, out, True)
            for s in range(cm.weight_rows.shape[1] - 1):
                used[cm.weight_rows[0, s]] += 1
            bit_now[0] = text[t] >> (7 - bit) & 1
            total -= np.log2((out[0] if bit_now[0] else P_ONE - out[0]) / P_ONE)
            predictor.update(cm, 0, 1, bit_now, True)
        value[0] = text[t]
        predictor.end_byte(cm, 0, 1, value, t, True)
    return total


def blend_maps(start: CMState, cm: CMState, before: CMState, uses: list[NDArray[np.float64]]) -> None:
    """Move the start's maps towards what they became in a document; uses: of each entry so far."""
    parts = (pretrained.map_slices(m) for m in (start, cm, before))
    for total, old, new, same in zip(uses, *parts, strict=True):
        seen = (cm.maps[new] != before.maps[same]) * np.minimum(cm.maps[new] & MASK, ENTRY_USES)
        share = seen / np.maximum(np.minimum(total, AVERAGE * ENTRY_USES) + seen, 1)
        total += seen
        p, q = start.maps[old] >> MAP_COUNT_BITS, cm.maps[new] >> MAP_COUNT_BITS
        mean = np.rint(p + share * (q - p)).astype(np.int64)
        count = np.where(total > 0, np.minimum(2 + total, 1000), start.maps[old] & MASK).astype(np.int64)
        start.maps[old] = mean << MAP_COUNT_BITS | count


def blend_weights(
    start: CMState, cm: CMState, number: int, used: NDArray[np.float64], uses: NDArray[np.float64]
) -> None:
    """Move the start's weights towards those after document `number`; used, uses: of each row in it, before it."""
    used = np.minimum(used, ROW_USES)
    share = used / np.maximum(np.minimum(uses, min(AVERAGE, 1 + number // 4) * ROW_USES) + used, 1)
    uses += used
    start.weights[:] = np.rint(start.weights + share[:, None] * (cm.weights - start.weights))
    change = (cm.layer2_weights - start.layer2_weights) / min(number + 1, AVERAGE)
    start.layer2_weights[:] = np.rint(start.layer2_weights + change)


def fill_rows(cm: CMState, uses: NDArray[np.float64]) -> None:
    """Let rows of a weight set that were hardly used be the set's mean row."""
    for low, high in zip(cm.bases[:-1], cm.bases[1:], strict=True):
        share = np.minimum(uses[low:high], 10 * TRUSTED_USES)
        if share.any():
            mean = (cm.weights[low:high] * share[:, None]).sum(0) / share.sum()
            trust = np.minimum(uses[low:high] / TRUSTED_USES, 1)[:, None]
            cm.weights[low:high] = np.rint(mean + trust * (cm.weights[low:high] - mean))


def pretrain(
    profile: Profile,
    network: bool,
    known: NDArray[np.uint8],
    documents: list[NDArray[np.uint8]],
    opinions: list[NDArray[np.int32]],
) -> pretrained.Tensors:
    """The tensors that start a profile's memory beside the n-grams `known`, learned from documents in this order."""
    nowhere = np.zeros(1, np.int64)
    start = create(profile, nowhere, 1)
    entry_uses = [np.zeros(part.stop - part.start) for part in pretrained.map_slices(start)]
    row_uses = np.zeros(len(start.weights))
    for number, (text, opinion) in enumerate(zip(documents, opinions, strict=True)):
        cm, before = create(profile, nowhere, text.size, known), create(profile, nowhere, 1)
        cm.clock[USE_NETWORK] = network
        if number:
            for fresh in (cm, before):
                pretrained.load_into(fresh, profile, pretrained.pack(start))
        used = np.zeros(len(start.weights))
        learn(cm, text, opinion, used)
        blend_maps(start, cm, before, entry_uses)
        blend_weights(start, cm, number, used, row_uses)
        if number < 80 and number % 8 == 7:
            fill_rows(start, row_uses)
    fill_rows(start, row_uses)
    return pretrained.pack(start)


def prime(weights: Weights, sources: list[Source], size_bytes: int, seed: int) -> pretrained.Tensors:
    """All tensors of the memory, by their names in the weights file, for these weights of the network."""
    documents = draw(sources, size_bytes, seed)
    click.echo(f"{len(documents)} documents; asking the network", err=True)
    opinions = ask(weights, documents)
    tensors: pretrained.Tensors = {}
    known = pretrained.ngrams_of(weights.tensors)
    for place, profile in enumerate(PROFILES):
        for network in pretrained.MODES.values():
            click.echo(f"profile {place}, {'with' if network else 'without'} the network", err=True)
            tensors |= pretrained.name_tensors(place, network, pretrain(profile, network, known, documents, opinions))
    return tensors


@on_model(6.0, 5, "Of the documents that are drawn.")
def main(
    data: tuple[Path, ...], model: Path, output: Path | None, megabytes: float, seed: int, more: tuple[str, ...]
) -> None:
    """Prime the memory of a model on files, or folders of them: adds or replaces its memory tensors."""

    def with_memory(weights: Weights, sources: list[Source], size_bytes: int) -> Tensors:
        return prime(weights, sources, size_bytes, seed)

    click.echo(revise(data, model, output, megabytes, more, "primed_on_bytes", with_memory))


if __name__ == "__main__":
    main()
