"""Files and directories that are written whole or not at all, by one process at a time, and outlive a power cut."""

from openwork.files.temporary import temporary_directory
from openwork.files.whole import (
    check_directory_place,
    check_file_place,
    check_regular,
    check_whole_directory_place,
    listed,
    read_regular,
    whole_directory,
    write_array,
    write_whole,
)

__all__ = [
    "check_directory_place",
    "check_file_place",
    "check_regular",
    "check_whole_directory_place",
    "listed",
    "read_regular",
    "temporary_directory",
    "whole_directory",
    "write_array",
    "write_whole",
]
