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
