"""Whole jobs, from recordings to results: what the command line runs."""
