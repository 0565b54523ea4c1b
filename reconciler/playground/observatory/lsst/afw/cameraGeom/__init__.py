"""Cameras."""

from standin.camera import Camera as Camera
