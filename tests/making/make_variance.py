"""A variance model that is known exactly, as no study knows it."""

import numpy as np

from foldwise.judging.statistics.run_variance import ScoreRuns
from foldwise.judging.statistics.variance import Variance


def exact_variance(estimate, image, *, root=None, run_of_mean=0.0, df_image=1e9, df_run=1e9):
    """Of these estimates and this covariance over images; runs add `run_of_mean`, and configurations share no luck."""
    estimate = np.asarray(estimate, dtype=float)
    runs = np.broadcast_to(np.asarray(run_of_mean, dtype=float), estimate.shape)
    return Variance(
        estimate=estimate,
        image=image,
        root=np.linalg.cholesky(image) if root is None else root,
        run=runs,
        run_of_mean=runs,
        pair_floor=0.0,
        df_image=df_image,
        df_run=df_run,
        score_runs=ScoreRuns(runs, 0.0, df_run, conflict=False),
        in_mean=1.0,
    )
