"""A plug-in that cannot be imported."""

raise ImportError("no module named left_pad, looked in /usr/lib/python3/nowhere")
