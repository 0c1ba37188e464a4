"""How sure scores and differences are: variances, intervals, tests, effects of factors, power. It knows of no run."""
