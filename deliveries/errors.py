"""What can go wrong with deliveries. Each error says what to do."""

from django.utils.translation import gettext as _


class MoveRefused(ValueError):
    """The delivery is not in a state from which it can go there; somebody else may just have moved it."""

    def __init__(self, label: str, state: str, to: str) -> None:
        super().__init__(label, state, to)
        self.label, self.state, self.to = label, state, to

    def __str__(self) -> str:
        return _("“%(label)s” has changed meanwhile: it is now “%(state)s”. Look at it again before you go on.") % {
            "label": self.label,
            "state": self.state,
        }


class AnalysisUnderWay(ValueError):
    """The delivery is being analysed already."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label

    def __str__(self) -> str:
        return _("“%(label)s” is being analysed. Wait until that is done, or stop it.") % {"label": self.label}


class NotReady(ValueError):
    """The delivery cannot be sent as it is; `problems` says why, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return " ".join(self.problems)


class TemplateRefused(ValueError):
    """A template cannot be rendered: which field, which line, and what is wrong."""

    def __init__(self, field: str, line: int | None, problem: str) -> None:
        super().__init__(field, line, problem)
        self.field, self.line, self.problem = field, line, problem

    def __str__(self) -> str:
        where = _("%(field)s, line %(line)s") % {"field": self.field, "line": self.line} if self.line else self.field
        return _("%(where)s: %(problem)s") % {"where": where, "problem": self.problem}


class AddressRefused(ValueError):
    """An address that could be taken for something else, in a header or by a mail server."""

    def __str__(self) -> str:
        return _("The address cannot be written to. Write one address such as name@example.org.")


class ChannelNotSent(ValueError):
    """Messages of this channel can be prepared, but nothing sends them yet."""

    def __str__(self) -> str:
        return _("Messages of this channel can be prepared and analysed, but not sent yet.")


class NotLater(ValueError):
    """The moment for which a delivery is to be scheduled has passed."""

    def __str__(self) -> str:
        return _("This moment has passed. Choose a later one.")


class ChangedMeanwhile(ValueError):
    """Somebody else has saved the same text since it was opened."""

    def __str__(self) -> str:
        return _("Somebody else has changed this text meanwhile.")
