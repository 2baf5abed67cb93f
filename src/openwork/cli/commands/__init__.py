"""One file a command, each with a click command named `command`: parse, call the floors below, print.

The floors below are imported inside the functions, so that `--help` is there at once.
"""
