"""`python -m arzip.train.prime DATA... --model NAME.safetensors`: train the initial states of context mixing.

Documents of the mix are coded one after the other, each from the initial state so far, as a file would be. The maps
and mixer weights after a document are averaged into the initial state, in proportion to their use.
Must not import archive code.
"""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from arzip.coding import byte_to_bits
from arzip.context_mixing import predictor, pretrained
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.context_mixing.state import MAP_COUNT_BITS, USE_NETWORK, CMState, create
from arzip.jit.compile import njit
from arzip.network import forward_cpu
from arzip.network.config import Weights
from arzip.preprocess import bcj
from arzip.probability import P_ONE
from arzip.train.add_tensors import Request, Tensors, model_command, update_model
from arzip.train.data import Source, Windows

MIN_DOCUMENT_BYTES, MAX_DOCUMENT_BYTES = 1 << 12, 1 << 16  # bytes of a document
AVERAGED_DOCUMENTS = 24  # a running mean: the newest document weighs at least one part in so many
ENTRY_USES, ROW_USES = 64, 4000  # limits of a document's weight in a map entry's mean, in a weight row's mean
TRUSTED_USES = 2000  # a row used less often is pulled towards the mean row of its set
MAP_COUNT_MASK = (1 << MAP_COUNT_BITS) - 1


def draw_documents(sources: list[Source], size_bytes: int, seed: int) -> list[NDArray[np.uint8]]:
    """Documents of the training split, drawn by the sources' shares, of log-uniform sizes between both limits."""
    rng = np.random.default_rng(seed)
    shares = np.array([s.share for s in sources])
    found: list[NDArray[np.uint8]] = []
    while sum(d.size for d in found) < size_bytes:
        source = sources[rng.choice(len(sources), p=shares)]
        size = int(MIN_DOCUMENT_BYTES * (MAX_DOCUMENT_BYTES / MIN_DOCUMENT_BYTES) ** rng.random())
        start = int(source.train[rng.integers(len(source.train)), 0])
        if len(source.train) == 1:
            start = int(rng.integers(max(source.train[0, 1] - size, 1)))
        end = min(start + size, source.data.size)
        if end - start >= MIN_DOCUMENT_BYTES // 2 and not Windows.is_held_out(source, start, end):
            found.append(apply_filter(source.data[start:end]))
    return found


def apply_filter(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A document after its branch filter, which is what context mixing codes."""
    raw = text.tobytes()
    return np.frombuffer(bcj.apply(raw, bcj.choose(raw)), np.uint8)


@njit()
def predict_bits(network, state, texts, sizes, probabilities):  # type: ignore[no-untyped-def]
    """The network's P(bit = 1) in Q22 of every bit: texts (L, T) uint8 -> probabilities (L, T, 8) int32.

    sizes (L,): bytes of each text, in descending order.
    """
    lanes = sizes.size
    last = np.zeros(lanes, np.uint8)
    for t in range(sizes[0]):
        while sizes[lanes - 1] <= t:
            lanes -= 1
        forward_cpu.step(network, state, last, 0, lanes)
        for lane in range(lanes):
            byte_to_bits.bit_probabilities(state.freqs, lane, np.int64(texts[lane, t]), probabilities[lane, t])
            last[lane] = texts[lane, t]


def network_probabilities(weights: Weights, documents: list[NDArray[np.uint8]]) -> list[NDArray[np.int32]]:
    """P(bit = 1) in Q22 (T, 8) int32 of each document's bits by the network, which starts each document anew."""
    result: dict[int, NDArray[np.int32]] = {}
    network = forward_cpu.load_network(weights)
    order = sorted(range(len(documents)), key=lambda i: -documents[i].size)
    for at in range(0, len(order), 64):
        batch = order[at : at + 64]
        sizes = np.array([documents[i].size for i in batch])
        texts = np.zeros((len(batch), sizes[0]), np.uint8)
        for row, i in enumerate(batch):
            texts[row, : sizes[row]] = documents[i]
        probabilities = np.zeros((*texts.shape, 8), np.int32)
        predict_bits(network, forward_cpu.init_state(network, len(batch)), texts, sizes, probabilities)
        result |= {i: probabilities[row, : sizes[row]].copy() for row, i in enumerate(batch)}
    return [result[i] for i in range(len(documents))]


@njit()
def train_document(cm, text, probabilities, used):  # type: ignore[no-untyped-def]
    """Code a document (T,) in one lane, which trains `cm`; returns its cost in bits.

    probabilities (T, 8): the network's P(bit = 1) in Q22. used: a counter for each weight row, added to.
    """
    network_p, out, bit_now, value = np.zeros((4, 1), np.int64)
    predictor.begin(cm, 0, 1)
    total = 0.0
    for t in range(text.size):
        predictor.set_step(cm, t)
        for bit in range(8):
            network_p[0] = probabilities[t, bit]
            predictor.predict(cm, 0, 1, network_p, out, True)
            for s in range(cm.weight_rows.shape[1] - 1):
                used[cm.weight_rows[0, s]] += 1
            bit_now[0] = text[t] >> (7 - bit) & 1
            total -= np.log2((out[0] if bit_now[0] else P_ONE - out[0]) / P_ONE)
            predictor.update(cm, 0, 1, bit_now, True)
        value[0] = text[t]
        predictor.end_byte(cm, 0, 1, value, t, True)
    return total


def average_maps(start: CMState, cm: CMState, before: CMState, uses: list[NDArray[np.float64]]) -> None:
    """Move the maps of `start` towards those of `cm`, after a document that began with `before`.

    uses: how often each entry of the three slices was used so far; added to.
    """
    parts = (pretrained.map_slices(m) for m in (start, cm, before))
    for total, old, new, same in zip(uses, *parts, strict=True):
        seen = (cm.maps[new] != before.maps[same]) * np.minimum(cm.maps[new] & MAP_COUNT_MASK, ENTRY_USES)
        share = seen / np.maximum(np.minimum(total, AVERAGED_DOCUMENTS * ENTRY_USES) + seen, 1)
        total += seen
        p, q = start.maps[old] >> MAP_COUNT_BITS, cm.maps[new] >> MAP_COUNT_BITS
        mean = np.rint(p + share * (q - p)).astype(np.int64)
        count = np.where(total > 0, np.minimum(2 + total, 1000), start.maps[old] & MAP_COUNT_MASK).astype(np.int64)
        start.maps[old] = mean << MAP_COUNT_BITS | count


def average_weights(
    start: CMState, cm: CMState, number: int, used: NDArray[np.float64], uses: NDArray[np.float64]
) -> None:
    """Move the weights of `start` towards those of `cm`, after document `number`.

    used, uses: how often each weight row was used in this document, and before it; uses is added to.
    """
    used = np.minimum(used, ROW_USES)
    share = used / np.maximum(np.minimum(uses, min(AVERAGED_DOCUMENTS, 1 + number // 4) * ROW_USES) + used, 1)
    uses += used
    start.weights[:] = np.rint(start.weights + share[:, None] * (cm.weights - start.weights))
    change = (cm.layer2_weights - start.layer2_weights) / min(number + 1, AVERAGED_DOCUMENTS)
    start.layer2_weights[:] = np.rint(start.layer2_weights + change)


def smooth_rows(cm: CMState, uses: NDArray[np.float64]) -> None:
    """Pull weight rows that were hardly used towards the mean row of their set."""
    for low, high in zip(cm.bases[:-1], cm.bases[1:], strict=True):
        share = np.minimum(uses[low:high], 10 * TRUSTED_USES)
        if share.any():
            mean = (cm.weights[low:high] * share[:, None]).sum(0) / share.sum()
            trust = np.minimum(uses[low:high] / TRUSTED_USES, 1)[:, None]
            cm.weights[low:high] = np.rint(mean + trust * (cm.weights[low:high] - mean))


def pretrain_profile(
    profile: Profile,
    with_network: bool,
    ngrams: NDArray[np.uint8],
    documents: list[NDArray[np.uint8]],
    probabilities: list[NDArray[np.int32]],
) -> pretrained.Tensors:
    """The initial state of a profile, trained on documents in this order; probabilities: the network's, for each.

    ngrams: the model's n-gram table. with_network: whether the network takes part.
    """
    starts = np.zeros(1, np.int64)
    start = create(profile, starts, 1)
    entry_uses = [np.zeros(part.stop - part.start) for part in pretrained.map_slices(start)]
    row_uses = np.zeros(len(start.weights))
    for number, (text, network_p) in enumerate(zip(documents, probabilities, strict=True)):
        cm, before = create(profile, starts, text.size, ngrams), create(profile, starts, 1)
        cm.clock[USE_NETWORK] = with_network
        if number:
            for fresh in (cm, before):
                pretrained.load_into(fresh, profile, pretrained.pack(start))
        used = np.zeros(len(start.weights))
        train_document(cm, text, network_p, used)
        average_maps(start, cm, before, entry_uses)
        average_weights(start, cm, number, used, row_uses)
        if number < 80 and number % 8 == 7:
            smooth_rows(start, row_uses)
    smooth_rows(start, row_uses)
    return pretrained.pack(start)


def pretrain_cm(weights: Weights, sources: list[Source], size_bytes: int, seed: int) -> pretrained.Tensors:
    """The initial states of all profiles, with and without the network, by their names in the weights file."""
    documents = draw_documents(sources, size_bytes, seed)
    click.echo(f"{len(documents)} documents; running the network", err=True)
    probabilities = network_probabilities(weights, documents)
    tensors: pretrained.Tensors = {}
    ngrams = pretrained.ngrams_of(weights.tensors)
    for index, profile in enumerate(PROFILES):
        for with_network in pretrained.MODES.values():
            click.echo(f"profile {index}, {'with' if with_network else 'without'} the network", err=True)
            state = pretrain_profile(profile, with_network, ngrams, documents, probabilities)
            tensors |= pretrained.name_tensors(index, with_network, state)
    return tensors


@model_command(6.0, 5, "Of the documents that are drawn.")
def main(request: Request) -> None:
    """Train the initial state of a model's memory on files, or folders of them: adds or replaces its tensors."""

    def initial_states(weights: Weights, sources: list[Source], size_bytes: int) -> Tensors:
        return pretrain_cm(weights, sources, size_bytes, request.seed)

    click.echo(update_model(request, "primed_on_bytes", initial_states))


if __name__ == "__main__":
    main()
