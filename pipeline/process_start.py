"""Start time of a process, in a form that no change of the clock moves."""

import os
from pathlib import Path

__all__ = ["process_start"]

# proc(5): after the command's name in parentheses come the fields from the third on.
STATE, START_TICKS = 0, 19
ENDED = ("Z", "X")


def process_start(number: int) -> str | None:
    """Tell which process has this number: two answers are equal only for one and the same process.

    On Linux the boot's random identity and the clock ticks from the boot to the start: a start by the calendar, as
    psutil gives it, moves with each step of the clock. Elsewhere the calendar's, which the kernel keeps as it was.

    Returns
    -------
    str or None
        None where no such process is alive; a zombie isn't.

    Raises
    ------
    PermissionError
        If there is one, of another user, of which this system tells nothing.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return _by_calendar(number)
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        import psutil  # not at the top: a registered model is loaded without it

        if psutil.pid_exists(number):  # hidden from us
            raise PermissionError(f"process {number} is another user's") from None
        return None
    return None if fields[STATE] in ENDED else f"{boot.read_text().strip()}/{fields[START_TICKS]}"


def _by_calendar(number: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{os.uname().sysname}/{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {number} is another user's") from error
