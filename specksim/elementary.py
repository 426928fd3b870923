"""Exponential, sine and cosine of rows of float32, in loops that compile to vector instructions.

By Taylor polynomials after the reduction of the argument to half a step around 0; the step is taken off in
parts of which the first have so few bits that their multiples are exact (Cody and Waite, Software Manual for
the Elementary Functions, 1980). So the result depends on no library of the processor's, but
for last bits on whether it multiplies and adds in one.
"""

import numpy as np

from specksim.compiled import ordered_kernel

_LEAST, _MOST = np.float32(-87.0), np.float32(88.0)  # between them e^x is a normal float32
_LN2 = np.float32(0.693359375), np.float32(-2.1219444005469057e-4)
_HALF_PI = np.float32(1.5703125), np.float32(4.837512969970703e-4), np.float32(7.54978995489188e-8)


@ordered_kernel
def exponential(x, out):
    """Exponential of a row, within 1.2e-7 of itself; 0 for x below −87, that of 88 for x above."""
    per_octave, half, one = np.float32(1.4426950408889634), np.float32(0.5), np.float32(1.0)
    none = np.float32(0.0)
    bits = out.view(np.int32)
    for j in range(out.shape[0]):
        t = _LEAST if x[j] < _LEAST else x[j]  # so written that NaN stays NaN
        t = _MOST if t > _MOST else t
        octave = np.floor(t * per_octave + half)
        r = t - octave * _LN2[0] - octave * _LN2[1]
        p = np.float32(1 / 720) + r * np.float32(1 / 5040)
        p = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * p)
        p = one + r * (one + r * (half + r * (np.float32(1 / 6) + r * p)))
        bits[j] = (np.int32(octave) + 127) << 23  # 2^octave
        value = out[j] * p
        out[j] = none if x[j] < _LEAST else value


@ordered_kernel
def sine_cosine(x, sine, cosine):
    """Sine and cosine of a row, within 1.2e-7 up to |x| = 10,000, losing beyond."""
    quarter, half, one = np.float32(0.25), np.float32(0.5), np.float32(1.0)
    two, four = np.float32(2.0), np.float32(4.0)
    for j in range(sine.shape[0]):
        turn = np.floor(x[j] * np.float32(2 / np.pi) + half)  # in quarters
        r = x[j] - turn * _HALF_PI[0] - turn * _HALF_PI[1] - turn * _HALF_PI[2]
        z = r * r
        s = np.float32(1 / 120) + z * (np.float32(-1 / 5040) + z * np.float32(1 / 362880))
        s = r + r * z * (np.float32(-1 / 6) + z * s)
        c = np.float32(-1 / 720) + z * np.float32(1 / 40320)
        c = one + z * (-half + z * (np.float32(1 / 24) + z * c))
        quadrant = turn - four * np.floor(turn * quarter)
        odd = quadrant - two * np.floor(quadrant * half)
        upper = quadrant < two
        outer = (quadrant < half) | (quadrant > np.float32(2.5))
        a, b = (s if odd < half else c), (c if odd < half else s)
        sine[j] = a if upper else -a
        cosine[j] = b if outer else -b
