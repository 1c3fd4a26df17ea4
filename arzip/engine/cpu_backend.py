"""The compiled loops as a backend, on one thread or two."""

from __future__ import annotations

from arzip.coding import lockstep, wide_lockstep
from arzip.coding.lane_state import LaneState
from arzip.context_mixing.state import CMState
from arzip.engine.backend import Run
from arzip.engine.plan import Plan
from arzip.network import forward_cpu
from arzip.network.config import Weights


class CpuBackend:
    """Compiled loops. two_threads: a block has one thread for the network, one for context mixing and coder."""

    def __init__(self, weights: Weights | None, two_threads: bool) -> None:
        self.two_threads = two_threads
        self.network = forward_cpu.load_network(weights) if weights else forward_cpu.empty_network()

    def threads_for(self, plan: Plan, decoding: bool, only_block: bool = True) -> int:
        """See Backend. A decoder's only lane leaves nothing to hand over."""
        both = plan.use_network and plan.cm_profile is not None
        if not only_block:
            return 1  # a block a thread keeps all threads busy
        return 2 if self.two_threads and both and (plan.lanes > 1 or not decoding) else 1

    def start(self, plan: Plan, cm: CMState, only_block: bool = True, after: forward_cpu.State | None = None) -> Run:
        """See Backend. after: the network's state, which will change; None: that of lanes before their first byte."""
        network = self.network if plan.use_network else forward_cpu.empty_network()
        state = after or forward_cpu.init_state(network, plan.lanes)
        run_steps = wide_lockstep.run_steps if plan.wide else lockstep.run_steps

        def run(block: LaneState, first: int, end: int) -> int:
            two_threads = self.threads_for(plan, block.is_decoding, only_block) > 1
            return run_steps(network, state, cm, block, first, end, two_threads)

        return run
