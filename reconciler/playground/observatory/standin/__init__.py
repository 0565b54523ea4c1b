"""The parts of the stand-in observatory that the real module names re-export."""
