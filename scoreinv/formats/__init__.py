"""Files: one module for each kind, read and write."""
