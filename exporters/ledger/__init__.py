"""The ledger: a row per request, per try and per account of a device, in SQLite or PostgreSQL."""
