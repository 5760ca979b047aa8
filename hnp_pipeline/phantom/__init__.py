"""A synthetic study whose truth is known: an analytic spine, six views, labels, exclusions (design 12)."""
