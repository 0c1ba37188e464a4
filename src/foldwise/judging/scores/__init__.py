"""From what every fit wrote to the scores that are compared: rows, thresholds, metrics by unit, trivial predictors."""
