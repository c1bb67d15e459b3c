DELETE FROM runs WHERE state <> 'open' AND seen_at < ?
