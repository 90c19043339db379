"""One file a mode of the command: configuration in, files out."""
