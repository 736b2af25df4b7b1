"""Durations, rates and whole lines of a run that goes on, as they are printed."""

from __future__ import annotations

from mainstem.printable import printable
from mainstem.progress.figures import StageFigures


def line_of(figures: StageFigures) -> str:
    """Return the figures of a stage as one line."""
    parts = [f"{figures.records_in:,} in", f"{figures.records_passed:,} out"]
    if figures.records_filtered:
        parts.append(f"{figures.records_filtered:,} filtered")
    if figures.records_failed:
        parts.append(f"{figures.records_failed:,} rejected")
    if figures.state == "done":
        parts.append(format_duration(figures.duration_ms))
    else:
        parts += [text for text in (format_per_second(figures.rate), estimate_of(figures)) if text]
        parts += [f"waiting on {figures.waiting_on}"] if figures.waiting_on else []
    return f"{printable(figures.name)}: {', '.join(parts)}"


def estimate_of(figures: StageFigures) -> str:
    """Say how much is done, and when the rest will be; empty where that is not known."""
    if figures.share is None or figures.state != "running":
        return ""
    done = f"{100 * figures.share:.0f} %"
    return done if figures.remaining_s is None else f"{done}, about {format_duration(figures.remaining_s * 1000)} left"


def format_per_second(rate: float | None) -> str:
    """Format a number of records per second to about three digits; empty if there is none."""
    if rate is None:
        return ""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{_three_digits(rate / size)}{unit}/s"
    return f"{_three_digits(rate)}/s"


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def format_duration(milliseconds: float) -> str:
    """Format a duration to about three digits."""
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
