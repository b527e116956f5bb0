"""How fast the server is, as ratios to what is possible and to what else there is.

python -m tests.benchmarks --help
"""
