"""What docs/FORMAT.md and docs/RECOMPRESSION_FORMAT.md specify, in plain Python integers: slow, and without the
package's arithmetic. Tests hold the kernels to it, bit for bit."""
