"""What is run inside kernels to learn something from them. Never imported by the server."""
