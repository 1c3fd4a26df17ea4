"""Context mixing in torch operations: the modules of the compiled kernels again, for all lanes of a group at once.

A group's byte takes 1600 (FAST) to 2200 (FULL) operations, half of them in the eight predictions, independent of the
number of lanes. The host creates the initial `CMState`, pretrained tensors and n-gram table included.

Architecture invariants: integers only; shared state is merged by sums and maxima; no value is copied to the host.
A new context, mixer context or APM kind is a line in VALUES, ROWS or CONTEXTS.
"""
