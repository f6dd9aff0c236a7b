"""Where an Outbox keeps its messages: the statements, and a place for each kind of database."""
