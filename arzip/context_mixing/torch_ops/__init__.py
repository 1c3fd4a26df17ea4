"""The memory in torch operations: room by room what the compiled kernels beside it do, all lanes of a crew at once.

A crew's byte takes 1600 (FAST) to 2200 (FULL) operations, half of them in the eight predictions, however many its
lanes are. It starts from a `Memory` that the host has made ready, priming and n-grams included.

Architecture invariants: integers only; what lanes share is merged by sums and maxima; no value is fetched from the
device. A new kind of context, selector or final map is a line in VALUES, ROWS or CONTEXTS.
"""
