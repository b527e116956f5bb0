"""Kernels that other programs have started: found, looked at and used."""
