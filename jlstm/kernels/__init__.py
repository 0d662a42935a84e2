"""Implementations of the recurrence of one layer over a whole sequence.

Every implementation has the signature `recurrence.Recurrence`. `scan.run` is the reference.
`choice` lists the implementations and chooses one for each layer of a call.
"""
