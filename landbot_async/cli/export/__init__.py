"""The work of `landbot export`: all customers and their transcripts, in files, resumable after a kill."""
