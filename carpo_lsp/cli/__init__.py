"""The command line: one module per sub-command, and what they need.

`--help` imports all modules with a click command, so they import what is heavy when a command runs.
"""
