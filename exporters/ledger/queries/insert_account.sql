INSERT INTO accounts (run_id, device, account, window_start, window_end, joules, total_joules)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, device, account, window_start)
DO UPDATE SET window_end = excluded.window_end, joules = excluded.joules, total_joules = excluded.total_joules
