INSERT INTO runs (run_id, version, host, pid, started_at, seen_at, ended_at, state, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id) DO UPDATE SET
    seen_at = excluded.seen_at, ended_at = excluded.ended_at, state = excluded.state, dropped = excluded.dropped
