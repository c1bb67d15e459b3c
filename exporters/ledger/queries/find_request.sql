SELECT
    request_id, client_request_id, started_at, upstream, model, route, reasons, prompt_tokens, cached_tokens,
    reasoning_tokens, completion_tokens, joules, joules_low, joules_high, method, status, scope, quality, gco2e, outcome
FROM requests
WHERE request_id = ? AND tenant = ?
