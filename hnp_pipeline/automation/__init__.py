"""What keeps the study up to date: the planner, and the command and the sensors that ask it."""
