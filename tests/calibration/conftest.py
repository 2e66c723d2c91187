"""Prints the table of the calibration when it is over."""

from typing import Any

HEAD = """
| model | fits | quantities | smallest p-value of | p-value | threshold | seconds |
| --- | --- | --- | --- | --- | --- | --- |"""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [
        value for report in reports for key, value in report.user_properties if key == "calibration"
    ]
    if rows:
        terminalreporter.write_line("\n".join([HEAD, *rows]))
