"""Kernels in SPMD form on this CPU: by simulated threads as Python, and by threads of the system as LLVM IR."""
