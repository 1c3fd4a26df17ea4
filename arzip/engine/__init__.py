"""A model on a device: the plan of a block, the backends that run its steps, and the loop over its chunks."""
