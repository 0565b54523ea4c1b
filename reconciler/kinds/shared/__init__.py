"""Logic that several kinds share."""
