"""Exponential, sine and cosine against those of double precision."""

import numpy as np
import pytest

from specksim.elementary import exponential, sine_cosine


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 87.0])
@pytest.mark.parametrize("kernel", [exponential, exponential.py_func], ids=["compiled", "python"])
def test_exponential(kernel, scale):
    x = np.linspace(-scale, min(scale, 80.0), 4001).astype(np.float32)
    out = np.empty_like(x)
    kernel(x, out)
    assert np.allclose(out, np.exp(x.astype(float)), rtol=1.2e-7, atol=0)


def test_exponential_beyond_its_range():
    x = np.float32([-87.5, -1e4, -np.inf, 88.5, 1e4, np.nan])
    out = np.empty_like(x)
    exponential(x, out)
    assert np.array_equal(out[:3], np.zeros(3))
    assert np.allclose(out[3:5], np.exp(88.0), rtol=1e-6)
    assert np.isnan(out[5])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("kernel", [sine_cosine, sine_cosine.py_func], ids=["compiled", "python"])
def test_sine_and_cosine(kernel, scale):
    x = np.linspace(-scale, scale, 4001).astype(np.float32)
    sine, cosine = np.empty((2, x.size), np.float32)
    kernel(x, sine, cosine)
    assert np.allclose(sine, np.sin(x.astype(float)), rtol=0, atol=1.2e-7)
    assert np.allclose(cosine, np.cos(x.astype(float)), rtol=0, atol=1.2e-7)
