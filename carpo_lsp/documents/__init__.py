"""Documents: text, positions and cells. Knows nothing of kernels."""
