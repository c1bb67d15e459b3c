SELECT * FROM requests
WHERE started_at >= ? AND started_at < ?
ORDER BY started_at, request_id
