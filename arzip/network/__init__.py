"""The pretrained byte model: its arithmetic (spec), its contexts, and the engines that run it."""
