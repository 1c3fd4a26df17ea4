"""Short blocks of one lane, coded as the lanes of one run of the network. Must not import engine, format or preprocess.

Each block has context mixing and a stream of its own, so it becomes what it becomes alone: the network's arithmetic is
exact, and its lanes don't see one another.
"""

from __future__ import annotations

import numpy as np

from arzip.coding import byte_to_bits
from arzip.context_mixing import apm
from arzip.context_mixing.state import APM_STEPS, PARTIAL, RECENT
from arzip.jit.compile import njit
from arzip.network import forward_cpu


@njit(nogil=True)
def predict_records(network, state, text, starts, out):
    """The network's P(bit = 1) of each bit of N records -> out (n, 1, 8) int32.

    text (n,) uint8: the records, longest first; starts (N + 1,) int64: where each begins, and the end. state: of N
    lanes, before their first byte.
    """
    active = starts.size - 1
    seen = np.zeros(active, np.uint8)
    for t in range(starts[1] - starts[0]):
        while starts[active] - starts[active - 1] <= t:
            active -= 1
        if t:
            for lane in range(active):
                seen[lane] = text[starts[lane] + t - 1]
        forward_cpu.step(network, state, seen, 0, active)
        for lane in range(active):
            at = starts[lane] + t
            byte_to_bits.bit_probabilities(state.freqs, lane, np.int64(text[at]), out[at, 0])


@njit(nogil=True)
def reset_apms(cm, rows):
    """Give all rows of the APM stages that coding cm.text in one lane has used their initial values.

    rows (F, APM_STEPS) int64: what each row of a stage begins with. Not of stages whose context the text doesn't tell.
    """
    cm.lane[0, RECENT] = 0
    for i in range(cm.text.size - 8):
        byte, partial = np.int64(cm.text[i]), np.int64(1)
        for bit in range(8):
            cm.lane[0, PARTIAL] = partial
            for f in range(cm.apms.size):
                at = apm.entry_index(cm, np.int64(0), f, np.int64(0))
                for step in range(APM_STEPS):
                    cm.maps[at + step] = rows[f, step]
            partial = 2 * partial + (byte >> (7 - bit) & 1)
        cm.lane[0, RECENT] = (cm.lane[0, RECENT] << 8) | byte
