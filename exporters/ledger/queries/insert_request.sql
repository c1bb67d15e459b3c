INSERT INTO requests (
    request_id, run_id, tenant, client_request_id, session_hash, endpoint, started_at, hour, time_to_first_token_seconds,
    duration_seconds, stream, sequences, upstream, model, tier, decision, route, reasons, prompt_tokens, cached_tokens,
    reasoning_tokens, completion_tokens, is_tokens_estimated, joules, joules_low, joules_high, method, status, scope, quality,
    gco2e, intensity_gco2e_per_kwh, intensity_source, intensity_at, outcome, holdout_of, prompt
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_id) DO NOTHING
