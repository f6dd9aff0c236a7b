"""The way to the sandbox: rate limit, faults, latency, and the in-process transport."""
