"""The pretrained byte model: its configuration, n-gram rows, matrix products, and its step on the CPU and in torch."""
