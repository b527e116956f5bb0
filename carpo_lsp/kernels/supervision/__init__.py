"""Watching over kernels: death, hanging, what they use, and that none is left behind."""
