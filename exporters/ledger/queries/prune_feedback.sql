DELETE FROM feedback WHERE at < ?
