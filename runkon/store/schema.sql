-- Generated from tables.py and views.sql by `python -m runkon.store.schema`; do not edit.
CREATE TABLE runs (
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    file TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    error TEXT,
    mode TEXT NOT NULL,
    leg INTEGER DEFAULT 0 NOT NULL,
    seq BIGINT NOT NULL,
    seq_end BIGINT,
    lease_owner TEXT,
    lease_until BIGINT,
    fence BIGINT DEFAULT 0 NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    cost_uusd BIGINT DEFAULT 0 NOT NULL,
    cost_known BOOLEAN DEFAULT 1 NOT NULL,
    tokens_in BIGINT DEFAULT 0 NOT NULL,
    tokens_out BIGINT DEFAULT 0 NOT NULL,
    calls BIGINT DEFAULT 0 NOT NULL,
    deadline_at BIGINT,
    cancel_at BIGINT,
    cancel_by TEXT,
    cancel_reason TEXT,
    cancel_kill BOOLEAN,
    cancel_via TEXT,
    crash_count INTEGER DEFAULT 0 NOT NULL,
    resume_count INTEGER DEFAULT 0 NOT NULL,
    forked_from TEXT,
    waiting_on TEXT,
    seq_definition BIGINT,
    PRIMARY KEY (number),
    CHECK (status = 'pending' OR status = 'running' OR status = 'waiting' OR status = 'cancelling' OR status = 'completed' OR status = 'failed' OR status = 'cancelled' OR status = 'interrupted'),
    CHECK (mode = 'live' OR mode = 'dry' OR mode = 'replay'),
    UNIQUE (id)
);
CREATE INDEX runs_by_status ON runs (status, created_at);
CREATE INDEX runs_by_workflow ON runs (workflow, created_at);
CREATE TABLE steps (
    run INTEGER NOT NULL,
    path TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    "key" TEXT NOT NULL,
    order_key TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    col INTEGER NOT NULL,
    status TEXT NOT NULL,
    handled TEXT,
    attempts INTEGER NOT NULL,
    cut_offs INTEGER DEFAULT 0 NOT NULL,
    leg INTEGER NOT NULL,
    seq_first BIGINT NOT NULL,
    seq_last BIGINT NOT NULL,
    due_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    superseded_leg INTEGER,
    effect TEXT,
    PRIMARY KEY (run, path, epoch),
    CHECK (status = 'running' OR status = 'completed' OR status = 'pending' OR status = 'waiting' OR status = 'backoff' OR status = 'failed' OR status = 'skipped' OR status = 'timed_out' OR status = 'cancelled' OR status = 'interrupted'),
    FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE events (
    place INTEGER NOT NULL,
    at BIGINT NOT NULL,
    leg INTEGER NOT NULL,
    fence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    path TEXT,
    epoch INTEGER,
    attempt INTEGER,
    payload TEXT NOT NULL,
    v INTEGER DEFAULT 1 NOT NULL,
    PRIMARY KEY (place)
);
CREATE TABLE gates (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    occurrence INTEGER NOT NULL,
    path TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    type TEXT NOT NULL,
    prompt TEXT NOT NULL,
    options TEXT,
    seq_first BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    deadline_at BIGINT,
    decision TEXT,
    "by" TEXT,
    via TEXT,
    reason TEXT,
    form TEXT,
    decided_at BIGINT,
    PRIMARY KEY (run, name, occurrence),
    FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE gate_answers (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    occurrence INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    choice TEXT NOT NULL,
    "by" TEXT NOT NULL,
    via TEXT NOT NULL,
    at BIGINT NOT NULL,
    reason TEXT,
    form TEXT,
    PRIMARY KEY (run, name, occurrence, ordinal),
    FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE artifacts (
    id TEXT NOT NULL,
    size BIGINT NOT NULL,
    place TEXT NOT NULL,
    bytes BLOB,
    created_at BIGINT NOT NULL,
    pinned BOOLEAN DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    CHECK (place = 'row' OR place = 'file')
);
CREATE TABLE artifact_refs (
    artifact TEXT NOT NULL,
    run INTEGER NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (artifact, run, role),
    FOREIGN KEY(artifact) REFERENCES artifacts (id),
    FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE sources (
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE schema_info (
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    runkon_version TEXT NOT NULL,
    PRIMARY KEY (number)
);

-- What people query: stable names and columns, times as ISO text UTC, money in dollars.
CREATE VIEW v_runs AS
SELECT
    r.id AS id,
    r.workflow AS workflow,
    r.status AS status,
    CASE
        WHEN r.status IN ('running', 'cancelling')
             AND coalesce(r.lease_until, 0) < CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        THEN 'interrupted' ELSE r.status
    END AS shown_status,
    r.reason AS reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at / 1000.0, 'unixepoch') AS started,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.ended_at / 1000.0, 'unixepoch') AS ended,
    (r.ended_at - r.started_at) / 1000.0 AS seconds,
    (SELECT count(*) FROM steps s WHERE s.run = r.number AND s.superseded_leg IS NULL) AS steps_total,
    (SELECT count(*) FROM steps s
      WHERE s.run = r.number AND s.superseded_leg IS NULL AND s.status = 'completed') AS steps_done,
    (SELECT count(*) FROM steps s
      WHERE s.run = r.number AND s.superseded_leg IS NULL AND s.status IN ('failed', 'timed_out')) AS steps_failed,
    (SELECT count(*) FROM steps s
      WHERE s.run = r.number AND s.superseded_leg IS NULL AND s.status = 'skipped') AS steps_skipped,
    r.cost_uusd / 1000000.0 AS cost_usd,
    CASE WHEN r.cost_known THEN 'known' WHEN r.cost_uusd > 0 THEN '≥' ELSE 'unknown' END AS cost_note
FROM runs r;

CREATE VIEW v_steps AS
SELECT
    r.id AS run,
    s.path AS path,
    s.kind AS kind,
    s.name AS name,
    s.status AS status,
    s.handled AS handled,
    s.attempts AS attempts,
    (s.ended_at - s.started_at) / 1000.0 AS seconds,
    substr(coalesce(json_extract(e.payload, '$.output.context'), json_extract(e.payload, '$.output.head')), 1, 200)
        AS context,
    json_extract(e.payload, '$.error.message') AS error
FROM steps s
JOIN runs r ON r.number = s.run
LEFT JOIN events e ON e.place = s.run * 4294967296 + s.seq_last
WHERE s.superseded_leg IS NULL;

CREATE VIEW v_events AS
SELECT
    r.id AS run,
    e.place & 4294967295 AS seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000.0, 'unixepoch') AS time,
    e.leg AS leg,
    e.kind AS kind,
    e.path AS path,
    e.attempt AS attempt,
    e.payload AS payload
FROM runs r
JOIN events e ON e.place > r.number * 4294967296 AND e.place < (r.number + 1) * 4294967296;
