"""Harmonic and percussive masks against librosa's, on noise, tones, clicks and silence."""

import numpy as np
import pytest

from earwitness.numerics.hpss import hpss_masks

pytestmark = pytest.mark.reference


def spectrograms():
    rng = np.random.default_rng(0)
    noise = rng.exponential(size=(65, 90)).astype(np.float32)
    scene = 0.01 * noise
    scene[20], scene[:, 40] = 1.0, 1.0
    silent = scene.copy()
    silent[:, 60:], silent[50:] = 0, 0
    return {"noise": noise, "scene": scene, "silence in it": silent}


@pytest.mark.parametrize("name", spectrograms())
@pytest.mark.parametrize(("margin", "power"), [(1.0, 2.0), (2.0, 2.0), (1.5, 1.0)])
def test_librosa(name, margin, power):
    librosa = pytest.importorskip("librosa")
    magnitude = spectrograms()[name]
    theirs = librosa.decompose.hpss(magnitude, kernel_size=(17, 11), margin=margin, power=power, mask=True)
    np.testing.assert_allclose(hpss_masks(magnitude, 17, 11, margin, power), np.stack(theirs), atol=1e-6)
