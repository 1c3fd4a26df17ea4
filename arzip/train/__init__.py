"""Training: a float network with the integer network's roundings in the loop, and its export."""
