"""An embedded world in one folder: a real Rucio server, real Butler repositories, real files, and an honest mover.

Nothing outside the folder is touched and nothing but loopback is listened on. The product never imports this package; only
the command line does, to make a tour and to test against.
"""
