"""Training: backbone, tasks, batches, the engine, its checkpoints, and inference."""
