"""The command line: one module per sub-command, and what they need.

Modules with a click command are imported at every start, so they import what is heavy when a
command runs.
"""
