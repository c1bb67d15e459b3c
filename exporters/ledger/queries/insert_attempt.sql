INSERT INTO attempts (
    request_id, place, upstream, outcome, prompt_tokens, cached_tokens, reasoning_tokens, completion_tokens,
    is_tokens_estimated, joules, joules_low, joules_high, method, status, scope, quality, gco2e, cost_usd
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_id, place) DO NOTHING
