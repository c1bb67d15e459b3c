"""What the ledger shows: reports for people, exports for programs, and the terminal's live view."""
