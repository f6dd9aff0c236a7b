"""Message-hook deliveries: their bodies, their order, their retries."""
