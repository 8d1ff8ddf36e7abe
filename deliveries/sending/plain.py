"""Claims on every engine: the transaction of `prepared`, statement by statement, with the reason of a refusal."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from quarantine.models import QuarantinedAddress, Status

from .. import gate
from ..exclusions import Judging
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, Reason, State
from .leases import count_since, record, recount
from .results import Answer, Result

S = LogStatus


class PlainClaims:
    """Claims the rows of one run's leases."""

    def __init__(self, delivery: Delivery, run: AnalysisRun, judging: Judging) -> None:
        self.delivery, self.run, self._judging = delivery, run, judging

    def judge_by(self, judging: Judging) -> None:
        """Take what is configured (blocked domains...) as it is now."""
        self._judging = judging

    def ask(self, lease: Lease, rows: Sequence[DeliveryLog], results: Sequence[Result], *, at: datetime) -> Answer:
        """Write results and claim rows, in one transaction. Raises DatabaseError, and has then done nothing.

        Rows that may not leave are marked as left out. None is doubtful.
        """
        answer = Answer(recorded={result.row.pk for result in results})
        with transaction.atomic():
            locked = Lease.objects.select_for_update().filter(pk=lease.pk, owner=lease.owner, expires_at__gt=at)
            answer.owned = locked.values_list("pk").first() is not None
            for result in results:
                record(lease, result)
            for row in rows if answer.owned else ():
                reason = gate.judge_row(row, self.delivery, self.run, at=at, by=self._judging)
                answer.sending = Delivery.objects.filter(pk=self.delivery.pk, state=State.SENDING).exists()
                if not answer.sending:
                    break
                self._mark(lease, row, reason, answer, at)
        return answer

    def _mark(self, lease: Lease, row: DeliveryLog, reason: Reason, answer: Answer, at: datetime) -> None:
        before, after = S(row.status), S.SUPPRESSED if reason else S.HANDING_OFF
        fields = {"reason": reason, "finished_at": at} if reason else {"claimed_at": at, "attempts": F("attempts") + 1}
        if not DeliveryLog.objects.filter(pk=row.pk, status=before).update(status=after, **fields):
            return
        recount(lease.pk, before, after, owner=lease.owner, at=at)
        if reason:
            count_since(self.run.pk, reason)
        else:
            answer.claimed.add(row.pk)
            errors = QuarantinedAddress.objects.filter(channel=self.delivery.channel, digest=bytes(row.digest or b""))
            if errors.filter(status=Status.ERRONEOUS).exists():
                answer.erroneous.add(row.pk)
