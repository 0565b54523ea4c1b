"""Formats of the files that a state names: export files, tables of files, lists of visits. None of them needs a live system."""
