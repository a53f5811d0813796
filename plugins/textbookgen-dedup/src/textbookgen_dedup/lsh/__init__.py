"""Locality-sensitive hashing: signatures, candidate pairs, verification, and arrays that spill to disk."""
