"""The resources of the Platform API: one module each, as methods of a client."""
