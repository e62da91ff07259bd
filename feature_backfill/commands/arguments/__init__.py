"""Arguments of commands, in groups; each module imports nothing that takes time."""
