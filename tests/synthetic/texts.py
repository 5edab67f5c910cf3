"""The words of the board of planted dictionaries."""

FIGURES = {
    "recovery": "mean max cosine ↑",
    "matched": "matched cosine ↑",
    "fvu": "FVU ↓",
    "l0": "L0",
    "dead": "dead share ↓",
    "absorption": "absorption ↓",
    "ev_error": "explained variance off by",
}
HEAD = """# Planted dictionaries"""
RANKING = "\n## Ranks\n"
TAIL = ""
