"""GradientSHAP for WavLM: what in a word, and which neurons, make a speech model say so?"""
