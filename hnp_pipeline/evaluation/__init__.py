"""From probabilities to the study's figures: thresholds, ensemble, metrics, intervals (design 8)."""
