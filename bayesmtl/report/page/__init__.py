"""One self-contained HTML page of a fit: values of the tree, then plain assets that show them."""

from bayesmtl.report.page.writer import page_html, write_report

__all__ = ["page_html", "write_report"]
