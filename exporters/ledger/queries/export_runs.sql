SELECT * FROM runs
WHERE seen_at >= ? AND started_at < ?
ORDER BY started_at, run_id
