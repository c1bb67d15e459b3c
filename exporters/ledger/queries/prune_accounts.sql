DELETE FROM accounts WHERE window_end < ?
