"""JSON-RPC with one client: bytes, messages, their order and the client's pace."""
