"""Prints the table of the calibration when it is over."""

from typing import Any

HEAD = """
| model | fits | quantities | smallest p-value of | p-value | threshold | seconds |
| --- | --- | --- | --- | --- | --- | --- |"""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    pairs = [pair for report in reports for pair in report.user_properties]
    for text in (value for key, value in pairs if key == "coverage"):
        terminalreporter.write_line(text)
    rows = [value for key, value in pairs if key == "calibration"]
    if rows:
        terminalreporter.write_line("\n".join([HEAD, *rows]))
