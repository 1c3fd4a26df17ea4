"""Compilation of kernels by numba."""
