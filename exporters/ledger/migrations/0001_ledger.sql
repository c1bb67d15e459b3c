-- The ledger. One text for SQLite and PostgreSQL: each knows these types and constraints by the same names.
-- Times are Unix seconds, energies joules, lists JSON arrays in text. NULL is unknown, never 0.

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'lost')),
    dropped BIGINT NOT NULL
);

CREATE TABLE requests (
    request_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    client_request_id TEXT,
    session_hash TEXT,
    endpoint TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    hour BIGINT NOT NULL,
    time_to_first_token_seconds DOUBLE PRECISION,
    duration_seconds DOUBLE PRECISION,
    stream BOOLEAN NOT NULL,
    sequences BIGINT NOT NULL,
    upstream TEXT,
    model TEXT,
    tier TEXT,
    decision TEXT,
    route TEXT,
    reasons TEXT NOT NULL,
    prompt_tokens BIGINT,
    cached_tokens BIGINT,
    reasoning_tokens BIGINT,
    completion_tokens BIGINT,
    is_tokens_estimated BOOLEAN NOT NULL,
    joules DOUBLE PRECISION,
    joules_low DOUBLE PRECISION,
    joules_high DOUBLE PRECISION,
    method TEXT,
    status TEXT NOT NULL,
    scope TEXT,
    quality TEXT NOT NULL,
    gco2e DOUBLE PRECISION,
    intensity_gco2e_per_kwh DOUBLE PRECISION,
    intensity_source TEXT,
    intensity_at DOUBLE PRECISION,
    outcome TEXT NOT NULL,
    holdout_of TEXT,
    prompt TEXT
);
CREATE INDEX requests_started_at ON requests (started_at);
CREATE INDEX requests_holdout_of ON requests (holdout_of) WHERE holdout_of IS NOT NULL;

CREATE TABLE attempts (
    request_id TEXT NOT NULL REFERENCES requests (request_id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    upstream TEXT NOT NULL,
    outcome TEXT,
    prompt_tokens BIGINT,
    cached_tokens BIGINT,
    reasoning_tokens BIGINT,
    completion_tokens BIGINT,
    is_tokens_estimated BOOLEAN NOT NULL,
    joules DOUBLE PRECISION,
    joules_low DOUBLE PRECISION,
    joules_high DOUBLE PRECISION,
    method TEXT,
    status TEXT NOT NULL,
    scope TEXT,
    quality TEXT NOT NULL,
    gco2e DOUBLE PRECISION,
    PRIMARY KEY (request_id, place)
);

CREATE TABLE accounts (
    run_id TEXT NOT NULL,
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    window_start DOUBLE PRECISION NOT NULL,
    window_end DOUBLE PRECISION NOT NULL,
    joules DOUBLE PRECISION NOT NULL,
    total_joules DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (run_id, device, account, window_start)
);
CREATE INDEX accounts_window_end ON accounts (window_end);

CREATE TABLE feedback (
    request_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    at DOUBLE PRECISION NOT NULL
);
CREATE INDEX feedback_at ON feedback (at);
