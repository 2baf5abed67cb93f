"""Reports: one HTML page that needs nothing else, CSV, and plots."""

from openwork.report.page import write_report
from openwork.report.results import Layer, Results, Training, Variant
from openwork.report.table import HEADINGS, cells
from openwork.report.units import bytes_text, count_text, percent_text, ratio_text, seconds_text

__all__ = [
    "HEADINGS",
    "Layer",
    "Results",
    "Training",
    "Variant",
    "bytes_text",
    "cells",
    "count_text",
    "percent_text",
    "ratio_text",
    "seconds_text",
    "write_report",
]
