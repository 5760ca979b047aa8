"""The study as Dagster assets, a file a stage. Thin: a few lines around a call into the science."""
