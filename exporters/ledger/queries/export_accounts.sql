SELECT * FROM accounts
WHERE window_end > ? AND window_end <= ?
ORDER BY window_end, run_id, device, account
