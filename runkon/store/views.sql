-- What people query: stable names and columns, times as ISO text UTC, durations in seconds, money in dollars. Columns
-- are added, never renamed. What is open in a run whose process died stays open here until somebody continues it.
-- No query can see whether a process lives: `shown_status` follows the lease, which ends 30 s after its last renewal.
CREATE VIEW v_runs AS
SELECT
    r.id AS id,
    r.workflow AS workflow,
    r.status AS status,
    CASE
        WHEN r.status IN ('running', 'cancelling')
             AND coalesce(r.lease_until, 0) < CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        THEN 'interrupted'
        WHEN r.status = 'running'
             AND EXISTS (SELECT 1 FROM steps w
                          WHERE w.run = r.number AND w.superseded_leg IS NULL AND w.status = 'waiting')
             AND NOT EXISTS (SELECT 1 FROM steps b
                              WHERE b.run = r.number AND b.superseded_leg IS NULL
                                AND b.status IN ('running', 'backoff'))
        THEN 'waiting' ELSE r.status
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
    CASE WHEN r.cost_known THEN 'known' WHEN r.cost_uusd > 0 THEN '≥' ELSE 'unknown' END AS cost_note,
    (SELECT group_concat(value, ', ') FROM json_each(r.waiting_on)) AS waiting_on,
    r.file AS file,
    r.error AS error,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.created_at / 1000.0, 'unixepoch') AS created,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.deadline_at / 1000.0, 'unixepoch') AS deadline,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.lease_until / 1000.0, 'unixepoch') AS held_until,
    r.leg AS leg,
    r.crash_count AS crashes,
    r.resume_count AS recoveries,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.cancel_at / 1000.0, 'unixepoch') AS cancel_asked,
    r.cancel_by AS cancel_by,
    r.cancel_reason AS cancel_reason,
    r.forked_from AS forked_from,
    (SELECT coalesce(sum(a.seconds), 0.0) FROM v_attempts a WHERE a.run = r.id) AS busy_seconds,
    (SELECT k.key FROM start_keys k WHERE k.workflow = r.workflow AND k.run = r.number) AS start_key
FROM runs r;

-- `why`: where a result was taken from, why the last attempt was made, why the step was skipped or cancelled, or the
-- condition that was tested right before it. A block costs what its steps cost, and shows no cost of its own.
CREATE VIEW v_steps AS
SELECT
    r.id AS run,
    s.path AS path,
    s.kind AS kind,
    s.name AS name,
    s.status AS status,
    s.handled AS handled,
    s.attempts AS attempts,
    CASE WHEN s.cut_offs = 0 OR (
        SELECT p.kind
        FROM events p
        WHERE p.place BETWEEN s.run * 4294967296 + s.seq_first AND s.run * 4294967296 + s.seq_last
          AND p.path = s.path AND p.epoch = s.epoch AND p.kind IN ('attempt_started', 'attempt_cut_off')
        ORDER BY p.place DESC LIMIT 1
    ) = 'attempt_started' THEN (s.ended_at - s.started_at) / 1000.0 END AS seconds,
    substr(coalesce(json_extract(e.payload, '$.output.context'), json_extract(e.payload, '$.output.head')), 1, 200)
        AS context,
    json_extract(e.payload, '$.error.message') AS error,
    CASE WHEN s.attempts > 0 THEN (
        SELECT sum(coalesce(json_extract(p.payload, '$.usage.cost_usd'),
                            json_extract(p.payload, '$.output.usage.cost_usd')))
        FROM events p
        WHERE p.place BETWEEN s.run * 4294967296 + s.seq_first AND s.run * 4294967296 + s.seq_last
          AND p.path = s.path AND p.epoch = s.epoch
          AND (p.kind LIKE 'attempt_%' OR p.kind = 'step_completed')
    ) END AS cost_usd,
    coalesce(
        'reused from ' || json_extract(e.payload, '$.cached_from'),
        'decided by ' || json_extract(e.payload, '$.decided_by'),
        CASE WHEN c.place IS NOT NULL THEN
            json_extract(c.payload, '$.construct') || ' ' || json_extract(c.payload, '$.text') || CASE WHEN json_extract(c.payload, '$.result') THEN ' is true' ELSE ' is false' END END,
        CASE WHEN s.status IN ('skipped', 'cancelled') THEN json_extract(e.payload, '$.reason') END,
        CASE WHEN s.attempts > 0 THEN (
            SELECT json_extract(p.payload, '$.why')
            FROM events p
            WHERE p.place BETWEEN s.run * 4294967296 + s.seq_first AND s.run * 4294967296 + s.seq_last
              AND p.path = s.path AND p.kind = 'attempt_started'
            ORDER BY p.place DESC LIMIT 1
        ) END
    ) AS why,
    s.epoch AS epoch,
    CASE WHEN s.attempts > 0 THEN coalesce(s.effect, 'read') END AS effect,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.started_at / 1000.0, 'unixepoch') AS started,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.ended_at / 1000.0, 'unixepoch') AS ended,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.due_at / 1000.0, 'unixepoch') AS due,
    s.file || ':' || s.line AS place,
    s.order_key AS program_order
FROM steps s
JOIN runs r ON r.number = s.run
LEFT JOIN events e ON e.place = s.run * 4294967296 + s.seq_last
LEFT JOIN events c ON c.place = s.run * 4294967296 + s.seq_first - 1 AND c.kind = 'choice_made' AND (
    c.path = s.path
    OR c.path || '/' = rtrim(s.path, replace(s.path, '/', ''))
    OR (json_extract(c.payload, '$.construct') IN ('if', 'unless') AND json_extract(c.payload, '$.result')
        AND substr(c.path || '#', 1, instr(c.path || '#', '#')) = rtrim(s.path, replace(s.path, '/', '')) || 'if#'))
WHERE s.superseded_leg IS NULL;

-- An attempt ends with the next event of its step that can end one. When one ended that a later leg closed is not known.
CREATE VIEW v_attempts AS
SELECT
    a.run AS run,
    a.path AS path,
    a.number AS number,
    a.leg AS leg,
    CASE coalesce(e.kind, 'attempt_started')
        WHEN 'attempt_started' THEN 'running'
        WHEN 'attempt_cut_off' THEN json_extract(e.payload, '$.certainty')
        WHEN 'step_skipped' THEN 'cancelled'
        ELSE substr(e.kind, instr(e.kind, '_') + 1)
    END AS status,
    CASE e.kind
        WHEN 'attempt_started' THEN NULL
        ELSE coalesce(json_extract(e.payload, '$.error.kind'), json_extract(e.payload, '$.cause'),
                      json_extract(e.payload, '$.reason'))
    END AS cause,
    json_extract(s.payload, '$.executor') AS executor,
    CASE WHEN e.kind <> 'attempt_started' AND e.leg = s.leg THEN (e.at - s.at) / 1000.0 END AS seconds,
    coalesce(json_extract(e.payload, '$.usage.cost_usd'), json_extract(e.payload, '$.output.usage.cost_usd'))
        AS cost_usd,
    a.epoch AS epoch,
    json_extract(s.payload, '$.why') AS why,
    coalesce(json_extract(s.payload, '$.effect'), 'read') AS effect,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.at / 1000.0, 'unixepoch') AS started,
    CASE WHEN e.kind <> 'attempt_started' AND e.leg = s.leg THEN strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000.0, 'unixepoch') END AS ended,
    json_extract(e.payload, '$.error.message') AS error,
    json_extract(e.payload, '$.evidence') AS evidence,
    coalesce(json_extract(e.payload, '$.usage'), json_extract(e.payload, '$.output.usage')) AS usage
FROM (
    SELECT
        r.id AS run,
        x.path AS path,
        x.epoch AS epoch,
        x.attempt AS number,
        x.leg AS leg,
        x.kind AS kind,
        x.place AS begun,
        lead(x.place) OVER (PARTITION BY r.id, x.path, x.epoch ORDER BY x.place) AS ended
    FROM runs r
    JOIN events x ON x.place > r.number * 4294967296 AND x.place < (r.number + 1) * 4294967296
    WHERE x.kind IN ('attempt_started', 'attempt_failed', 'attempt_timed_out', 'attempt_cancelled', 'attempt_cut_off',
                     'step_completed', 'step_failed', 'step_timed_out', 'step_skipped', 'step_cancelled')
) a
JOIN events s ON s.place = a.begun
LEFT JOIN events e ON e.place = a.ended
WHERE a.kind = 'attempt_started';

CREATE VIEW v_gates AS
SELECT
    r.id AS run,
    g.name AS name,
    g.occurrence AS occurrence,
    CASE
        WHEN g.decision IS NULL THEN 'open'
        WHEN g.decision = 'timed_out' THEN 'expired'
        WHEN g.decision = 'withdrawn' THEN 'withdrawn'
        ELSE 'decided'
    END AS status,
    g.prompt AS prompt,
    (SELECT group_concat(value, ', ') FROM json_each(g.options)) AS options,
    strftime('%Y-%m-%dT%H:%M:%fZ', g.deadline_at / 1000.0, 'unixepoch') AS deadline,
    g.decision AS decision,
    g.by AS by,
    g.via AS via,
    g.path AS path,
    g.type AS type,
    g.reason AS reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', g.opened_at / 1000.0, 'unixepoch') AS opened,
    strftime('%Y-%m-%dT%H:%M:%fZ', g.decided_at / 1000.0, 'unixepoch') AS decided,
    (SELECT count(*) FROM gate_answers a
      WHERE a.run = g.run AND a.name = g.name AND a.occurrence IN (0, g.occurrence)) AS answers
FROM gates g
JOIN runs r ON r.number = g.run;

-- One attempt is one call of its executor. `unpriced_calls` told what they used, but not what it cost.
CREATE VIEW v_costs AS
SELECT
    a.run AS run,
    a.executor AS executor,
    count(*) AS calls,
    coalesce(sum(json_extract(a.usage, '$.input_tokens') + json_extract(a.usage, '$.output_tokens')), 0) AS tokens,
    coalesce(sum(a.cost_usd), 0.0) AS cost_usd,
    coalesce(sum(a.usage IS NOT NULL AND a.cost_usd IS NULL), 0) AS unpriced_calls,
    coalesce(sum(json_extract(a.usage, '$.input_tokens')), 0) AS tokens_in,
    coalesce(sum(json_extract(a.usage, '$.output_tokens')), 0) AS tokens_out
FROM v_attempts a
GROUP BY a.run, a.executor;

CREATE VIEW v_events AS
SELECT
    r.id AS run,
    e.place & 4294967295 AS seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000.0, 'unixepoch') AS time,
    e.leg AS leg,
    e.kind AS kind,
    e.path AS path,
    e.attempt AS attempt,
    e.payload AS payload,
    e.epoch AS epoch,
    e.fence AS fence
FROM runs r
JOIN events e ON e.place > r.number * 4294967296 AND e.place < (r.number + 1) * 4294967296;
