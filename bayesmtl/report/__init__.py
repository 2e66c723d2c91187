"""The printed summary, the plots and the page of a fit, read from its DataTree alone."""

from bayesmtl.report.layout import print_clusters, print_report, write_plots
from bayesmtl.report.page import write_report
from bayesmtl.report.summary import Report, summarize_fit

__all__ = [
    "Report",
    "print_clusters",
    "print_report",
    "summarize_fit",
    "write_plots",
    "write_report",
]
