"""One module per capability: plain functions from a workspace and params to a result."""
