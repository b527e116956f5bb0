"""What one client has open: its documents and their kernels, its settings, and what it is told."""
