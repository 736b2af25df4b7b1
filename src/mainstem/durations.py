"""Durations in words."""

from __future__ import annotations


def format_duration(milliseconds: float) -> str:
    """Format a duration to about three digits.

    Example:
        >>> format_duration(75_000)
        '1 min 15 s'
    """
    if milliseconds < 1:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
