"""Recordings with labels, made or read; each module is one kind of source."""
