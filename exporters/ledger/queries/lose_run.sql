UPDATE runs SET state = 'lost' WHERE run_id = ? AND state = 'open'
