-- Requests that jevons sent to the direct tier, and what their other arm has cost.
SELECT own.joules AS joules, other.joules AS other_joules
FROM requests AS own
INNER JOIN requests AS other ON other.holdout_of = own.request_id
WHERE
    own.started_at >= ? AND own.started_at < ?
    AND own.tier = 'direct' AND own.decision <> 'pinned' AND other.tier = 'reasoning'
    AND own.outcome = 'ok' AND other.outcome = 'ok'
    AND own.joules IS NOT NULL AND other.joules IS NOT NULL
