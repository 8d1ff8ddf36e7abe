"""What may happen while deliveries are sent, how often each is dealt, and how often each must have happened."""

import os

from deliveries.models import InDoubtPolicy, MessageClass, Target
from tests.deliveries.machine_world import KILLS, REPLIES

KINDS = [
    (InDoubtPolicy.SKIP, Target.SERVICE, MessageClass.MARKETING),
    (InDoubtPolicy.RESEND, Target.SERVICE, MessageClass.MARKETING),
    (InDoubtPolicy.SKIP, Target.EVERYBODY, MessageClass.MARKETING),
    (InDoubtPolicy.RESEND, Target.EVERYBODY, MessageClass.TRANSACTIONAL),
]
WORKERS = ("another_worker", "slow", "slow_and_another_worker", "another_worker_killed")
MOVES = (
    "begin_analysis",
    "edit",
    "analyse",
    "fail_analysis",
    "schedule",
    "start_due",
    "start",
    "pause",
    "resume",
    "stop",
)
PEOPLE = (
    "leave_service", "opt_out_of_channel", "opt_out_of_everything", "quarantine", "complaint", "hard_bounce",
    "soft_bounces", "release", "opt_in", "lift", "erase", "import_again", "change_address", "opt_out_of_address",
)  # fmt: skip
DECKS = {
    "people": (
        "opt_out_of_channel", "opt_out_of_everything", "opt_out_of_address", "soft_bounces",
        *["leave_service", "hard_bounce", "release", "lift"] * 2, *["complaint", "erase"] * 3,
        *["import_again", "change_address", "quarantine"] * 4, *["opt_in"] * 7,
    ),
    "moves": (*MOVES, "start_due", *["analyse", "pause", "resume", "stop"] * 2),
    "replies": (*REPLIES, *["250"] * 3),
    "meanwhile": (*WORKERS * 12, "pause", "stop", *(name for name in PEOPLE if name != "soft_bounces")),
    "kills": (*KILLS, *[""] * 10),
}  # fmt: skip
# What must have happened at least so often when the suite has run: the rules, then each of their parts.
RULES = {
    "opt out": ("leave_service", "opt_out_of_channel", "opt_out_of_everything"), "opt in": ("opt_in",),
    "quarantine": ("quarantine",), "lift": ("lift", "release"), "bounce": ("hard_bounce", "soft_bounces"),
    "complaint": ("complaint",), "erase": ("erase",), "import": ("import_again",), "address": ("change_address",),
    "analyse": ("analyse",), "start": ("start",), "pause": ("pause",), "resume": ("resume",), "stop": ("stop",),
    "hand over": tuple(REPLIES), "kill": ("send_and_be_killed", *(f"killed {kill}" for kill in KILLS)),
    "ring": ("ring",), "repeat": ("repeat_a_task",), "two workers": WORKERS, "clock": ("time_passes",),
}  # fmt: skip
# On PostgreSQL a step takes twice as long, and the rules are the same.
RULE_AT_LEAST, PART_AT_LEAST = (30, 2) if os.environ.get("TEST_ENGINE") == "postgres" else (100, 5)
PARTS = {*PEOPLE, *MOVES, *WORKERS, *(part for parts in RULES.values() for part in parts), "the_clock_is_put_right"}
