"""Feature modules as a desk would write them: sound ones, and ones that cheat."""
