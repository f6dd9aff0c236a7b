"""The version of the package, stated only here."""

__version__ = "0.2.0"
"""The version of the package."""
