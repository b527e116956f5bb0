"""Kernels behind a Jupyter Server or a gateway, reached by REST and a websocket."""
