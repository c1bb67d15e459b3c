"""Bytes without I/O: requests read, replies and streams edited. Pure, so that every cut of the bytes can be tried."""
