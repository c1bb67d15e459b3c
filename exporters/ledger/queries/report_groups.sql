-- What a report is made of: sums by everything that one may ask for, hour by hour. The other arms of holdouts are apart.
SELECT
    upstream,
    tenant,
    model,
    tier,
    route,
    hour,
    outcome,
    method,
    intensity_source,
    CASE WHEN holdout_of IS NULL THEN 0 ELSE 1 END AS is_holdout,
    CASE WHEN tier = 'direct' AND decision <> 'pinned' THEN 1 ELSE 0 END AS is_routed_direct,
    COUNT(*) AS requests,
    COUNT(joules) AS known,
    SUM(joules) AS joules,
    SUM(joules_low) AS joules_low,
    SUM(joules_high) AS joules_high,
    CAST(SUM(prompt_tokens) AS BIGINT) AS prompt_tokens,
    CAST(SUM(cached_tokens) AS BIGINT) AS cached_tokens,
    CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(SUM(completion_tokens) AS BIGINT) AS completion_tokens,
    COUNT(gco2e) AS gco2e_known,
    SUM(gco2e) AS gco2e,
    MIN(intensity_gco2e_per_kwh) AS least_intensity,
    MAX(intensity_gco2e_per_kwh) AS most_intensity
FROM requests
WHERE started_at >= ? AND started_at < ?
GROUP BY upstream, tenant, model, tier, route, hour, outcome, method, intensity_source, is_holdout, is_routed_direct
