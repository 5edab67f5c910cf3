"""Evidence that a planted model has the circuit that it claims, from its shipped weights and fresh prompts."""
