"""A task, a method and a metric of somebody else."""
