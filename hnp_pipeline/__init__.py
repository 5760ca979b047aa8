"""Predicting lumbar disc herniation by level from plain radiographs (Kim et al. 2022), as a pipeline."""
