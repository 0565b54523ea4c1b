"""The kinds of resources, one file for each table of the state file; every module here that has a ``KIND`` is one."""
