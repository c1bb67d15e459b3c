SELECT * FROM feedback
WHERE at >= ? AND at < ?
ORDER BY at, request_id
