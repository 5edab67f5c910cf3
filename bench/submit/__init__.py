"""Submissions: files from strangers, read with suspicion, checked against the model's graph, scored on fresh examples.

Reading and checking (``limits`` to ``checking``) need numpy and safetensors only, run nothing that was handed in and
open no pickle; ``scoring`` needs torch.
"""
