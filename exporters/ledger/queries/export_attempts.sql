SELECT attempts.* FROM attempts
INNER JOIN requests ON requests.request_id = attempts.request_id
WHERE requests.started_at >= ? AND requests.started_at < ?
ORDER BY requests.started_at, attempts.request_id, attempts.place
