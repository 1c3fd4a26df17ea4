"""Sampling from a model, and breaking down the cost of a file by position and byte class."""
