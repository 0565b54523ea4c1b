"""Cameras."""

from standin.comcam import Camera as Camera
