"""What `fpplm schedule --cron` takes: five fields, or a name such as @daily."""

from __future__ import annotations

import pytest

from fpplm.schedule.deployment import dates, rule_of
from fpplm_core.errors import ParamsError

DATES = 3


@pytest.mark.parametrize(
    "cron",
    ["0 0 3 * * *", "0 3 * * * 2027", "* * * * * * *", "0 0 12 1/1 * ? *", "0 3 * *", "3", "", " ", "@reboot",
     "@daily 3", "0 25 * * *"],
)  # fmt: skip
def test_not_five_fields_is_no_schedule(cron: str) -> None:
    with pytest.raises(ParamsError, match=r"not a schedule.*write --cron .0 3 \* \* 1. .minute, hour, day, month, wee"):
        rule_of(cron, None, "UTC")


def test_the_message_says_how_many_are_wanted_and_what_it_got() -> None:
    with pytest.raises(ParamsError, match=r"--cron: not a schedule: a cron expression has five fields, got '0 0 3 "):
        rule_of("0 0 3 * * *", None, "UTC")


@pytest.mark.parametrize(
    "cron", [None, "0 3 * * 1", " 0  3\t* * 1 ", "@daily", "@weekly", "0 3 * * MON", "0 3 * * 1#2"]
)
def test_five_fields_or_a_name_run_at_three_dates_with_whole_minutes(cron: str | None) -> None:
    found = dates(rule_of(cron, None, "UTC"))
    assert len(found) == DATES and all(date.second == 0 for date in found)
    assert min(b - a for a, b in zip(found, found[1:], strict=False)).total_seconds() >= 60  # noqa: RUF007
