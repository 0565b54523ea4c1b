"""The parts of obs_base that export files and storage classes name."""
