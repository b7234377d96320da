"""Finds the parameters of the latency law from rows of recorded latencies (see `latency`).

Apart from `latency`, because serving needs the parameters only and not the optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from crossfade.sim.load.latency import LatencyFit


def fit_latency(models: Sequence[str], output_tokens: Sequence[float], ms: Sequence[float]) -> LatencyFit:
    """Fit the law to rows of (model, output tokens, milliseconds)."""
    out, log_ms = np.asarray(output_tokens, float), np.log(np.asarray(ms, float))

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.exp(p[0]) + np.exp(p[1]) * out) - log_ms)

    solution = least_squares(residuals, [math.log(500), math.log(10)], loss="soft_l1")
    left = residuals(solution.x)
    squares, freedom = 0.0, 0
    for model in sorted(set(models)):
        of_model = left[np.asarray([m == model for m in models])]
        if len(of_model) >= 5:
            squares += float(((of_model - of_model.mean()) ** 2).sum())
            freedom += len(of_model) - 1
    first_ms, per_token_ms = (float(value) for value in np.exp(solution.x))
    return LatencyFit(first_ms, per_token_ms, math.sqrt(squares / freedom), len(left))
