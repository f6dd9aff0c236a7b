"""The sandbox's data: channels, customers, hooks, fields and messages, in memory or on disk."""
