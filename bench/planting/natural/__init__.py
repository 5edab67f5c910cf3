"""Models of the same size trained on the task alone, nothing planted, whose truth is measured by ablation."""
