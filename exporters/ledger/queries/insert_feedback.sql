INSERT INTO feedback (request_id, tenant, score, at)
VALUES (?, ?, ?, ?)
ON CONFLICT (request_id) DO UPDATE SET score = excluded.score, at = excluded.at
