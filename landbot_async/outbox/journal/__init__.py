"""The journal of an Outbox: its SQL statements, and a module for each kind of database."""
