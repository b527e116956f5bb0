"""Kernels that outlive their server: the program that keeps one, and the way to it."""
