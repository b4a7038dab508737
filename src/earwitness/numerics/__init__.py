"""Maths without sound: sampling designs, estimators."""
