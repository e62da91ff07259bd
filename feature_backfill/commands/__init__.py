"""The commands of the command line, a file each: `execute(options)` does it and returns the exit code."""
