"""The work of `landbot campaign`: from a spreadsheet to messages that are each accounted for."""
