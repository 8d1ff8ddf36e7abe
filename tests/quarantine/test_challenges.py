"""Services that ask strangers to prove themselves are told by who they are: some write in the form of a report."""

import pytest

from quarantine.inbound.reports import understand
from quarantine.models import ReportKind

REPORT = b"""\
From: %b
To: news@example.org
Subject: Re: March
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I received your message about "March". You are not on my guest list yet.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Action: failed

Final-Recipient: rfc822; anne@example.com
Diagnostic-Code: X-Notice; Sender not pre-approved
Status: 4.7.0

--b--
"""


@pytest.mark.parametrize("sender", [b"noreply@boxbe.com", b"Boxbe <x@mail.boxbe.com>", b"a@spamarrest.com"])
def test_a_challenge_in_the_form_of_a_report_is_none(sender: bytes) -> None:
    assert understand(REPORT % sender).kind == ReportKind.AUTO_REPLY


@pytest.mark.parametrize("sender", [b"postmaster@example.com", b"boxbe.com@example.com", b"x@notboxbe.com"])
def test_others_are_read_as_reports(sender: bytes) -> None:
    found = understand(REPORT % sender)
    assert found.kind == ReportKind.BOUNCE
    assert [one.address for one in found.recipients] == ["anne@example.com"]
