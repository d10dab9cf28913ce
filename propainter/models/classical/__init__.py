"""The engine that needs no weights."""
