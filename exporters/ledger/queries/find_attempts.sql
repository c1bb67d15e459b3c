SELECT upstream, outcome, joules, joules_low, joules_high, method, status, scope, quality, gco2e, cost_usd
FROM attempts
WHERE request_id = ?
ORDER BY place
