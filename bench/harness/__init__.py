"""Plan cells, run them as jobs, store what they give, and read it back for the boards."""
