"""Files that are opened in a spreadsheet: cells that a spreadsheet would run are made plain text."""

# OWASP, "CSV Injection": a cell that begins so may be taken for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe before what begins like one."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
