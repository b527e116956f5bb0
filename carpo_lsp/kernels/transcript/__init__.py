"""What executions have shown: the outputs a notebook would have, in memory and on disk."""
