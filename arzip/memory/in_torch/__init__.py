"""The memory in torch operations: room by room what the compiled kernels beside it do, all lanes of a crew at once."""
