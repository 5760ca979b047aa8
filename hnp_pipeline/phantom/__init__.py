"""A synthetic study whose truth is known: one analytic spine, six views, labels, planted exclusions (design 12)."""
