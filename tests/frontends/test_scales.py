"""Frequency scales against the closed forms and the values that Slaney, HTK, and Glasberg and Moore give."""

import numpy as np
import pytest

from earwitness.errors import UsageError
from earwitness.frontends.scales import SCALES, erb, erb_bandwidth, erb_hz, htk, htk_hz, slaney, slaney_hz, spaced

HERTZ = np.array([60, 440, 1000, 2000, 4000, 8000, 12000.0])


def test_slaney_s_mel():
    expected = [0.9, 6.6, 15, 25.0819, 35.1638, 45.2456, 51.1432]
    np.testing.assert_allclose(slaney(HERTZ), expected, atol=5e-5)


def test_htk_s_mel():
    expected = [92.682, 549.639, 999.986, 1521.360, 2146.065, 2840.023, 3266.341]
    np.testing.assert_allclose(htk(HERTZ), expected, atol=5e-4)


def test_erb_rate_and_bandwidth():
    hertz = np.array([100, 220, 440, 880, 1000, 2000, 4000, 8000.0])
    rate = [3.3696, 6.2609, 9.9681, 14.6664, 15.6214, 21.1552, 27.1074, 33.2945]
    width = [35.494, 48.447, 72.193, 119.686, 132.639, 240.578, 456.456, 888.212]
    np.testing.assert_allclose(erb(hertz), rate, atol=5e-5)
    np.testing.assert_allclose(erb_bandwidth(hertz), width, atol=5e-4)


def test_one_unit_of_erb_rate_is_one_bandwidth():
    """The two formulas are independent; Glasberg and Moore rounded 21.4 so that they agree to 0.4 %."""
    hertz = np.linspace(50, 8000, 100)
    step = (erb(hertz + 0.5) - erb(hertz - 0.5)) * erb_bandwidth(hertz)
    np.testing.assert_allclose(step, 1, atol=0.004)


@pytest.mark.parametrize(("there", "back"), [(slaney, slaney_hz), (htk, htk_hz), (erb, erb_hz)])
def test_there_and_back(there, back):
    hertz = np.linspace(0, 12000, 401)
    np.testing.assert_allclose(back(there(hertz)), hertz, atol=1e-8)


@pytest.mark.parametrize("scale", SCALES)
def test_spaced_is_even_on_its_scale_and_exact_at_both_ends(scale):
    points = spaced(scale, 50.0, 3999.9, 9)
    assert (points[0], points[-1]) == (50.0, 3999.9)
    steps = np.diff(SCALES[scale][0](points))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9)


def test_unknown_scale():
    with pytest.raises(UsageError, match="unknown frequency scale 'bark'"):
        spaced("bark", 0, 1, 2)
