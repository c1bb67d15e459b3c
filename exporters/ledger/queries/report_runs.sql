SELECT run_id, started_at, seen_at, state, dropped
FROM runs
WHERE seen_at >= ? AND started_at < ?
ORDER BY started_at
