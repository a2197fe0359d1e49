"""The interval of a slope: against NumPy's covariance of a fit, and by counting how often it covers."""

import numpy as np
import pytest

from minishatter.intervals import slope_interval, student_quantile


def test_the_slope_and_its_error_are_those_of_a_polynomial_fit():
    x, y = np.random.default_rng(0).standard_normal((2, 9))
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    half = student_quantile(0.975, 7) * covariance[0, 0]**0.5
    np.testing.assert_allclose(slope_interval(x, y, 0.95), (slope, slope - half, slope + half), rtol=1e-10)


def test_the_interval_covers_as_often_as_it_says():
    """4,000 lines through 8 points with normal errors, at the level 0.9: within 4 standard errors of a proportion."""
    rng, x = np.random.default_rng(1), np.log([6, 14, 30, 54, 102, 198, 50, 20])
    intervals = [slope_interval(x, 3 - 1.2 * x + 0.3 * rng.standard_normal(8), 0.9) for _ in range(4000)]
    covered = np.mean([low <= -1.2 <= high for _, low, high in intervals])
    assert abs(covered - 0.9) < 4 * (0.9 * 0.1 / 4000)**0.5


def test_a_perfect_line_has_no_width():
    assert slope_interval(np.arange(6.0), 2 * np.arange(6.0)) == pytest.approx((2, 2, 2), abs=1e-12)
