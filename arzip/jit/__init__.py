"""numba: how kernels are compiled and cached, atomics, features of the CPU."""
