"""The `landbot demo` command."""
