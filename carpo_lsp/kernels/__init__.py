"""Kernels: starting, talking to, supervising and ending them. Knows nothing of documents."""
