"""The inputs that a state file names: export files, tables of files, lists of visits. Read here without any live system."""
