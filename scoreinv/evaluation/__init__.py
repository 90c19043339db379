"""What is compared: the compiled programs, rows in a file, tables, metrics and uncertainty."""
