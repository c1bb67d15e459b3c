SELECT run_id, version, host, pid, started_at, seen_at, ended_at, state, dropped
FROM runs
WHERE state = 'open'
ORDER BY started_at
