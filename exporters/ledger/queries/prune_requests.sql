DELETE FROM requests WHERE started_at < ?
