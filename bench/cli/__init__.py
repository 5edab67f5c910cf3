"""The command line: a shim takes the verb, Hydra's grammar takes the rest."""
