"""The harness: whether features do what they declare, and nothing else. `examine` is its front door."""
