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


def test_exponential_of_what_is_too_small_for_a_float():
    out = np.empty(3, np.float32)
    exponential(np.float32([-87.5, -1e4, -np.inf]), out)
    assert (out > 0).all()
    assert (out < 2e-38).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("kernel", [sine_cosine, sine_cosine.py_func], ids=["compiled", "python"])
def test_sine_and_cosine(kernel, scale):
    x = np.linspace(-scale, scale, 4001).astype(np.float32)
    sine, cosine = np.empty((2, x.size), np.float32)
    kernel(x, sine, cosine)
    assert np.allclose(sine, np.sin(x.astype(float)), rtol=0, atol=1.2e-7)
    assert np.allclose(cosine, np.cos(x.astype(float)), rtol=0, atol=1.2e-7)
