"""The fused recurrence: one direction of one layer over a whole sequence.

Every implementation has the signature of `scan.run`, which is the reference. `choice` lists them
and picks the one that serves a call.
"""
