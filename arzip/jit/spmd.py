"""SPMD primitives: one source of a kernel for a CPU thread and for the threads of a CUDA block.

On CUDA the threads of a block form teams of `member_count()` threads, a power of two up to a warp's 32
(`tiled_partition` of CUDA's cooperative groups, a team of Kokkos). A team takes every `team_count()`-th lane, and its
members share a lane's contexts:

    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):

On the CPU there is one team of one member: indices are the constant 0, counts the constant 1, barriers vanish and an
atomic operation is a load and a store, so that a kernel compiles to what it would be without them.

Rules for kernels: between two barriers a place in memory is read by any threads, or written by one, or set to the
same value by several, or changed by one kind of atomic operation. All threads of a block reach every block barrier, all
members of a team every `team_barrier` and `team_sum`. Must not import any model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from arzip.jit.compile import Intrinsic

WARP = 32


class Launch(NamedTuple):
    """What a kernel for CUDA is compiled for, as by `__launch_bounds__`: `launch` of the target's context."""

    team_size: int  # threads, a power of two up to WARP
    block_threads: int  # a multiple of team_size
    blocks: int = 1  # that a multiprocessor shall have registers for


def _operation(name: str) -> Any:
    return Intrinsic("arzip.jit.spmd_ir", name)


# Lanes are counted in uint64 in the kernels, contexts in int64: an unsigned index needs no check for negative ones.
team_index: Any = _operation("team_index")
team_count: Any = _operation("team_count")
member_index: Any = _operation("member_index")
member_count: Any = _operation("member_count")
leads_team: Any = _operation("leads_team")
leads_block: Any = _operation("leads_block")
block_barrier: Any = _operation("block_barrier")
team_barrier: Any = _operation("team_barrier")
team_sum: Any = _operation("team_sum")
atomic_add: Any = _operation("atomic_add")
atomic_max: Any = _operation("atomic_max")

# Functions of the CPU -> those that CUDA's threads run instead. Filled where a CPU function is written in vectors.
CUDA_VERSIONS: dict[Any, Callable[..., Any]] = {}


def cuda_version(cpu: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the function that kernels for CUDA call wherever the source says `cpu`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        CUDA_VERSIONS[cpu] = function
        return function

    return register
