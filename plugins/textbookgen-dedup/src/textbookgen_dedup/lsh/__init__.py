"""Locality-sensitive hashing: signatures, candidates, verification, indexes, and arrays that spill to disk."""
