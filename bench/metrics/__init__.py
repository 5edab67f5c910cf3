"""The metrics that ship: a file each. Others register through the entry-point group ``bench.metrics``."""
