"""What the public sees: a page shows, a press of its button acts."""

from .confirming import confirm
from .hooks import receive as hook
from .leaving import one_click, opt_out, undo
from .online import view_online
from .pages import missing, page
from .preferences import download, preferences
from .style import accent, logo

__all__ = [
    "accent", "confirm", "download", "hook", "logo", "missing", "one_click", "opt_out", "page", "preferences", "undo",
    "view_online",
]  # fmt: skip
