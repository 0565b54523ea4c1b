"""Packages of pretrained models."""

from lsst.meas.transiNet.modelPackages.formatters import NNModelPackageFormatter as NNModelPackageFormatter
