SELECT
    request_id, started_at, tenant, upstream, model, route, prompt_tokens, reasoning_tokens, completion_tokens, joules,
    joules_low, joules_high, method, duration_seconds, outcome
FROM requests
WHERE started_at >= ? AND started_at < ? AND joules IS NOT NULL AND holdout_of IS NULL
ORDER BY joules DESC, request_id
LIMIT ?
