"""A table of numbers without signs as a sum of few products: V = W H, all of them 0 or more.

    V [bins, frames],  W [bins, atoms]: what an atom is made of,  H [atoms, frames]: when it is active

Multiplicative updates keep every sign and never raise the divergence. Each column of W adds up to 1.

    Kullback-Leibler  H <- H * (W' (V / WH)) / (W' 1)        Frobenius  H <- H * (W' V) / (W' W H)        and W in the same way

Source: Lee and Seung (2001), "Algorithms for non-negative matrix factorization".
"""

import numpy as np
from jaxtyping import Float

from earwitness.errors import unknown

TINY = 1e-12  # of the largest number in V
DIVERGENCES = ("kl", "frobenius")


def factorise(
    v: Float[np.ndarray, "bins frames"],
    atoms: int,
    iterations: int = 200,
    divergence: str = "kl",
    seed: int = 0,
) -> tuple[Float[np.ndarray, "bins atoms"], Float[np.ndarray, "atoms frames"]]:
    """W and H for V, from a random start. divergence: "kl" or "frobenius". V of zeros gives H of zeros."""
    if divergence not in DIVERGENCES:
        raise unknown("divergence", divergence, DIVERGENCES)
    rng, scale = np.random.default_rng(seed), float(v.max())
    w, h = rng.random((v.shape[0], atoms)) + 0.1, rng.random((atoms, v.shape[1])) + 0.1
    if scale == 0:
        return w / w.sum(0), 0 * h
    v = v / scale
    for _ in range(iterations):
        h = h * _step(w, v, h, divergence)
        w = w * _step(h.T, v.T, w.T, divergence).T
        total = w.sum(0) + TINY
        w, h = w / total, h * total[:, None]
    return w, scale * h


def divergence_of(v: np.ndarray, w: np.ndarray, h: np.ndarray, divergence: str) -> float:
    """How far WH is from V: sum of V log(V / WH) - V + WH, or of (V - WH)^2 / 2."""
    made = w @ h
    if divergence == "frobenius":
        return float(((v - made) ** 2).sum() / 2)
    safe = np.where(v > 0, v, 1)
    return float((v * np.log(safe / np.maximum(made, TINY)) - v + made).sum())


def _step(w: np.ndarray, v: np.ndarray, h: np.ndarray, divergence: str) -> np.ndarray:
    """The factor by which H changes."""
    if divergence == "kl":
        return (w.T @ (v / (w @ h + TINY))) / (w.sum(0)[:, None] + TINY)
    return (w.T @ v) / (w.T @ w @ h + TINY)
