-- What a provider charges for a try, by list price.
ALTER TABLE attempts ADD COLUMN cost_usd DOUBLE PRECISION;
