"""A complete test world in one folder: a real Rucio server, real Butler repositories, and a mover that copies and checks files.

It writes only to its folder and the user's cache folder, and listens only on the loopback interface. Only the command line
and the tests import this package.
"""
