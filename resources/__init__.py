"""What assets are handed: tables, images, tracking, compute. Dagster and MLflow are known here, not in the science."""
