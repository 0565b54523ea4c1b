"""Sky maps."""

from standin.skymap import BaseSkyMap as BaseSkyMap
