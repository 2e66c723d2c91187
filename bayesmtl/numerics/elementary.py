"""Exponential and logarithm of which a loop over an array is vectorised, correct to rounding."""

import numpy as np

from bayesmtl.numerics.jit import exact_kernel

__all__ = ["exp", "log", "log_one_plus"]

# Adding it to a number below 2^51 leaves its nearest integer in the last bits of the sum.
_SHIFT = 6755399441055744.0
_LOG2_E = 1.4426950408889634
# ln 2 in two parts, the first with trailing zeros, so that its multiples are exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2 = 0.6931471805599453
# Exponents as whole numbers between 2^52 and 2^53, and their offset.
_TWO_52, _BIAS = np.int64(0x4330000000000000), 4503599627370496.0 + 1023.0
_MANTISSA, _ONE = np.int64(0x000FFFFFFFFFFFFF), np.int64(0x3FF0000000000000)


@exact_kernel
def exp(x):
    """``e^x``; beyond -708 and 709 the value there, NaN for NaN.

    ``2^k e^r`` with r at most ln 2 / 2 in size, and the Taylor polynomial of e^r.
    """
    x = min(max(x, -708.0), 709.0)
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    # Added to the exponent of the floating-point number.
    power = np.float64(shifted).view(np.int64) << 52
    return np.int64(np.float64(p).view(np.int64) + power).view(np.float64)


@exact_kernel
def log(x):
    """``log x`` of positive normal numbers, ``k ln 2 + log y`` with y in [1, 2)."""
    bits = np.float64(x).view(np.int64)
    k = np.int64((bits >> 52) | _TWO_52).view(np.float64) - _BIAS
    y = np.int64((bits & _MANTISSA) | _ONE).view(np.float64)
    return k * _LN2 + log_one_plus(y - 1.0)


@exact_kernel
def log_one_plus(x):
    """``log(1 + x)`` for x between 0 and 1.

    ``2 artanh(s)`` with ``s = (y - 1) / (y + 1)``, y = 1 + x or half of it, by its series.
    """
    large = x > 0.41421356237309503
    above = 0.5 * (x - 1.0) if large else x
    s = above / (2.0 + above)
    z = s * s
    p = 1.0 / 21.0 + z * (1.0 / 23.0)
    p = 1.0 / 19.0 + z * p
    p = 1.0 / 17.0 + z * p
    p = 1.0 / 15.0 + z * p
    p = 1.0 / 13.0 + z * p
    p = 1.0 / 11.0 + z * p
    p = 1.0 / 9.0 + z * p
    p = 1.0 / 7.0 + z * p
    p = 1.0 / 5.0 + z * p
    p = 1.0 / 3.0 + z * p
    value = 2.0 * s + 2.0 * s * z * p
    return value + _LN2 if large else value
