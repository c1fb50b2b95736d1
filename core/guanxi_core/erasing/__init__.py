"""Erasure of a person: what plugins keep, and what the platform itself keeps about it.

One transaction does all of it. The row of the person is locked first, so that whoever changes it,
or adds a row that refers to it, comes before or after: what came before is erased, too, and the row
that is left cannot be changed any more.
"""
