"""Every statement the SQLite store runs, constant, so that each is prepared once.

A statement that changes a step carries the rule it keeps in its WHERE: no row changed means that the event can't
follow what is recorded. Column lists stand as tuples; a test compares them with the tables.
"""

from __future__ import annotations

EVENT_COLUMNS = ("place", "at", "leg", "fence", "kind", "path", "epoch", "attempt", "payload", "crc")
PLACES = 1 << 32  # an event's key is its run's number times this, plus its own
STEP_PLACE = ("run", "path", "epoch", "kind", "name", "key", "order_key", "iteration", "file", "line", "col")
STEP_ROW = (*STEP_PLACE, "leg", "seq_first", "seq_last", "started_at", "status", "attempts", "cut_offs")
STEP_BEGUN = (*STEP_ROW, "effect")
STEP_CLOSED = (*STEP_ROW, "handled", "ended_at")
RUN_NEW = ("id", "workflow", "file", "status", "mode", "seq", "created_at", "forked_from")
GATE_OPENED = (
    *("run", "name", "occurrence", "path", "epoch", "type", "prompt", "options", "seq_first", "opened_at"),
    "deadline_at",
)
ANSWER_COLUMNS = ("run", "name", "occurrence", "ordinal", "choice", "by", "via", "at", "reason", "form")
KEY_COLUMNS = ("workflow", "key", "run")
SOURCE_COLUMNS = ("id", "text")
ARTIFACT_COLUMNS = ("id", "size", "place", "bytes", "created_at")
ARTIFACT_REF_COLUMNS = ("artifact", "run", "role")
SCHEMA_COLUMNS = ("number", "name", "applied_at", "runkon_version")


def _insert(table: str, columns: tuple[str, ...], values: str | None = None) -> str:
    given = values or ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({given})"


# ── transactions ──────────────────────────────────────────────────────────────────────────────────
BEGIN = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

# ── the run's row: the fence of every append ──────────────────────────────────────────────────────
_FENCE = (
    "UPDATE runs SET seq = ?, lease_until = ?, calls = calls + ? "
    "WHERE number = ? AND fence = ? AND lease_owner = ? AND seq = ?"
)
ADVANCE = f"{_FENCE} AND ended_at IS NULL"
ADVANCE_OPEN = (  # when an attempt begins; no `IN`, for which SQLite would build a table each time
    f"{_FENCE} AND (status = 'running' OR status = 'waiting' OR status = 'cancelling')"
)
ADVANCE_BEGIN = _FENCE  # when a leg begins: any status
RELEASE = "UPDATE runs SET lease_owner = NULL, lease_until = NULL WHERE number = ? AND fence = ? AND lease_owner = ?"
PAY = (
    "UPDATE runs SET cost_uusd = cost_uusd + ?, cost_known = cost_known AND ?, tokens_in = tokens_in + ?, "
    "tokens_out = tokens_out + ? WHERE number = ?"
)
RUN_BEGUN = (
    "UPDATE runs SET status = 'running', started_at = coalesce(started_at, ?), ended_at = NULL, seq_end = NULL, "
    "reason = NULL, error = NULL, waiting_on = NULL, deadline_at = coalesce(?, deadline_at), "
    "crash_count = crash_count + ?, resume_count = resume_count + ? WHERE number = ?"
)
RUN_WAITING = "UPDATE runs SET status = 'waiting', waiting_on = ? WHERE number = ?"
_WISHED = (  # the first wish stands; every expression sees the row as it was
    "cancel_at = coalesce(cancel_at, ?), cancel_by = coalesce(cancel_by, ?), "
    "cancel_reason = coalesce(cancel_reason, ?), cancel_via = coalesce(cancel_via, ?)"
)
RUN_CANCEL_SEEN = (
    f"UPDATE runs SET status = 'cancelling', {_WISHED}, cancel_kill = coalesce(cancel_kill, ?) WHERE number = ?"
)
ASK_TO_CANCEL = f"UPDATE runs SET {_WISHED}, cancel_kill = max(coalesce(cancel_kill, 0), ?) WHERE id = ?"
RUN_FOLLOWS = "UPDATE runs SET file = ?, seq_definition = ? WHERE number = ?"
RUN_ENDED = (
    "UPDATE runs SET status = ?1, reason = ?2, error = ?3, seq_end = ?4, ended_at = ?5, "
    + ", ".join(
        f"cancel_{part} = CASE WHEN ?1 = 'cancelled' THEN cancel_{part} END"  # a late one is not for later legs
        for part in ("at", "by", "reason", "kill", "via")
    )
    + " WHERE number = ?6 AND NOT EXISTS "
    "(SELECT 1 FROM steps WHERE steps.run = runs.number AND status = 'running') AND NOT EXISTS "
    "(SELECT 1 FROM gates WHERE gates.run = runs.number AND decision IS NULL)"
)
RUN_INTERRUPTED = "UPDATE runs SET status = 'interrupted', reason = ?, error = ? WHERE number = ?"
RUN_LEASE = "SELECT number, fence, leg, seq, lease_owner, lease_until, status FROM runs WHERE id = ?"
LAST_EVENT = (
    "SELECT runs.seq, events.leg, events.fence FROM runs "
    f"JOIN events ON events.place = runs.number * {PLACES} + runs.seq WHERE runs.id = ?"
)
TAKE = "UPDATE runs SET lease_owner = ?, lease_until = ?, fence = fence + 1, leg = leg + 1 WHERE number = ?"
EXTEND = "UPDATE runs SET lease_until = ? WHERE id = ? AND fence = ? AND lease_owner = ?"
INSERT_RUN = f"{_insert('runs', RUN_NEW)} ON CONFLICT (id) DO NOTHING"
INSERT_KEY = _insert("start_keys", KEY_COLUMNS)
SELECT_KEY = "SELECT runs.id FROM start_keys k JOIN runs ON runs.number = k.run WHERE k.workflow = ? AND k.key = ?"
INSERT_SOURCE = f"{_insert('sources', SOURCE_COLUMNS)} ON CONFLICT (id) DO NOTHING"
INSERT_SCHEMA = _insert("schema_info", SCHEMA_COLUMNS)
INSERT_ARTIFACT = (  # what somebody has changed is put right
    f"{_insert('artifacts', ARTIFACT_COLUMNS)} ON CONFLICT (id) DO UPDATE SET size = excluded.size, "
    "place = excluded.place, bytes = excluded.bytes"
)
INSERT_ARTIFACT_REF = f"{_insert('artifact_refs', ARTIFACT_REF_COLUMNS)} ON CONFLICT (artifact, run, role) DO NOTHING"

# ── events and steps ──────────────────────────────────────────────────────────────────────────────
INSERT_EVENT = _insert("events", EVENT_COLUMNS)

_HERE = "run = ? AND path = ? AND epoch = ? AND superseded_leg IS NULL"
_UNSETTLED = "handled IS NULL AND status <> 'completed' AND status <> 'skipped' AND superseded_leg IS NULL"
_PLACE_AGAIN = ", ".join(f"{column} = excluded.{column}" for column in STEP_PLACE[3:])
_STARTED_AGAIN = (
    "CASE WHEN steps.leg = excluded.leg AND steps.started_at IS NOT NULL THEN steps.started_at "
    "ELSE excluded.started_at END"
)
FIRST_ATTEMPT = (
    f"{_insert('steps', STEP_BEGUN, ', '.join('?' * 15) + chr(44) + chr(32) + repr('running') + ', 1, 0, ?')} "
    f"ON CONFLICT (run, path, epoch) DO UPDATE SET {_PLACE_AGAIN}, started_at = {_STARTED_AGAIN}, "
    "leg = excluded.leg, seq_last = excluded.seq_last, status = 'running', attempts = 1, due_at = NULL, "
    f"ended_at = NULL, effect = excluded.effect WHERE attempts = 0 AND {_UNSETTLED}"
)
NEXT_ATTEMPT = (
    "UPDATE steps SET kind = ?, name = ?, key = ?, order_key = ?, iteration = ?, file = ?, line = ?, col = ?, "
    "started_at = CASE WHEN leg = ? AND started_at IS NOT NULL AND status <> 'interrupted' AND status <> 'waiting' "
    "THEN started_at ELSE ? END, leg = ?, seq_last = ?, "
    "status = 'running', attempts = attempts + 1, due_at = NULL, ended_at = NULL, effect = ? "
    f"WHERE {_HERE} AND attempts = ? AND status <> 'running' AND {_UNSETTLED}"
)
ATTEMPT_ENDED = (
    f"UPDATE steps SET status = 'backoff', leg = ?, seq_last = ? WHERE {_HERE} AND status = 'running' AND attempts = ?"
)
ATTEMPT_CUT_OFF = (
    "UPDATE steps SET status = 'interrupted', cut_offs = cut_offs + ?, leg = ?, seq_last = ? "
    f"WHERE {_HERE} AND status = 'running' AND attempts = ?"
)
RETRY_SCHEDULED = f"UPDATE steps SET due_at = ?, leg = ? WHERE {_HERE} AND status = 'backoff'"
STEP_CLOSES = (
    "UPDATE steps SET status = ?, handled = ?, leg = ?, seq_last = ?, ended_at = ?, due_at = NULL "
    f"WHERE {_HERE} AND {_UNSETTLED}"
)
STEP_CLOSES_WITH_PLACE = (
    f"{_insert('steps', STEP_CLOSED, ', '.join('?' * 16) + ', 0, 0, ?, ?')} "
    f"ON CONFLICT (run, path, epoch) DO UPDATE SET {_PLACE_AGAIN}, "
    "started_at = coalesce(excluded.started_at, steps.started_at), leg = excluded.leg, seq_last = excluded.seq_last, "
    "status = excluded.status, handled = excluded.handled, ended_at = excluded.ended_at, due_at = NULL "
    f"WHERE {_UNSETTLED}"
)
STEP_HANDLED = (
    f"UPDATE steps SET handled = ?, leg = ? WHERE {_HERE} AND status IN ('failed', 'timed_out') AND handled IS NULL"
)
STEP_SUPERSEDED = f"UPDATE steps SET superseded_leg = ? WHERE {_HERE} AND status <> 'running'"
EPOCH_BEFORE = (  # changes nothing: refuses an epoch whose predecessor was not superseded
    "UPDATE steps SET superseded_leg = superseded_leg "
    "WHERE run = ? AND path = ? AND epoch = ? AND superseded_leg IS NOT NULL"
)

ATTEMPT_OPEN = f"UPDATE steps SET attempts = attempts WHERE {_HERE} AND status = 'running' AND attempts = ?"

# ── gates ─────────────────────────────────────────────────────────────────────────────────────────
STEP_WAITS = (
    f"{_insert('steps', STEP_ROW, ', '.join('?' * 14) + chr(44) + ' NULL, ' + repr('waiting') + ', 0, 0')} "
    f"ON CONFLICT (run, path, epoch) DO UPDATE SET {_PLACE_AGAIN}, leg = excluded.leg, seq_last = excluded.seq_last, "
    f"status = 'waiting', due_at = NULL, ended_at = NULL WHERE status <> 'running' AND {_UNSETTLED}"
)
GATE_OPENS = f"{_insert('gates', GATE_OPENED)} ON CONFLICT (run, name, occurrence) DO NOTHING"
GATE_DECIDED = (
    "UPDATE gates SET decision = ?, by = ?, via = ?, reason = ?, form = ?, decided_at = ? "
    "WHERE run = ? AND name = ? AND occurrence = ? AND decision IS NULL"
)
INSERT_ANSWER = _insert("gate_answers", ANSWER_COLUMNS)

# ── reading ───────────────────────────────────────────────────────────────────────────────────────
RUN_READ = (
    "r.id, r.workflow, r.file, r.status, r.reason, r.error, r.mode, r.leg, r.seq, r.fence, r.lease_owner, "
    "r.lease_until, r.created_at, r.started_at, r.ended_at, r.cost_uusd, r.cost_known, r.calls, c.payload, e.payload, "
    "r.deadline_at, r.waiting_on, r.crash_count, r.resume_count, r.forked_from, "
    "r.cancel_at, r.cancel_by, r.cancel_reason, r.cancel_kill, r.cancel_via, d.payload, "
    "c.crc, e.crc, d.crc"
)
COUNT_UNPRICED = (
    "SELECT count(*) FROM runs r JOIN events e "
    f"ON e.place > r.number * {PLACES} AND e.place < (r.number + 1) * {PLACES} WHERE r.id = ? AND CASE "
    "WHEN NOT json_valid(e.payload) THEN 0 "
    "WHEN e.kind IN ('attempt_failed', 'attempt_timed_out', 'attempt_cancelled', 'attempt_cut_off') "
    "THEN json_type(e.payload, '$.usage.cost_usd') = 'null' WHEN e.kind = 'step_completed' THEN "
    "json_type(e.payload, '$.info') IS NULL AND json_type(e.payload, '$.output.usage.cost_usd') = 'null' END"
)
_RUNS = (
    f"SELECT {RUN_READ} FROM runs r JOIN events c ON c.place = r.number * {PLACES} + 1 "
    f"LEFT JOIN events e ON e.place = r.number * {PLACES} + r.seq_end "
    f"LEFT JOIN events d ON d.place = r.number * {PLACES} + r.seq_definition"
)
SELECT_RUN = f"{_RUNS} WHERE r.id = ?"
SELECT_RUNS = (
    f"{_RUNS} WHERE (?1 IS NULL OR r.status = ?1) AND (?2 IS NULL OR r.workflow = ?2) "
    "AND (?3 IS NULL OR r.created_at >= ?3) ORDER BY r.number DESC LIMIT ?4"
)
SELECT_FIND = "SELECT id FROM runs WHERE id >= ? AND id < ? ORDER BY number DESC LIMIT 10"
SELECT_STEPS = (
    "SELECT s.path, s.kind, s.name, s.key, s.order_key, s.iteration, s.file, s.line, s.col, s.status, s.epoch, "
    "s.attempts, s.cut_offs, s.leg, s.handled, s.due_at, s.started_at, s.ended_at, s.seq_last, e.payload, "
    "s.effect, e.kind, e.path, e.crc "
    f"FROM steps s LEFT JOIN events e ON e.place = s.run * {PLACES} + s.seq_last "
    "WHERE s.run = (SELECT number FROM runs WHERE id = ?) AND s.superseded_leg IS NULL ORDER BY s.path"
)
SELECT_PUT_ASIDE = (
    "SELECT path, kind, name, key, order_key, iteration, file, line, col, epoch + 1 FROM steps s "
    "WHERE run = (SELECT number FROM runs WHERE id = ?) AND superseded_leg IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM steps n WHERE n.run = s.run AND n.path = s.path AND n.epoch > s.epoch) ORDER BY order_key, path"
)
SELECT_EVENTS = (
    f"SELECT place & {PLACES - 1}, at, leg, fence, kind, path, epoch, attempt, payload, crc FROM events "
    f"WHERE place > ?1 * {PLACES} + ?2 AND place < (?1 + 1) * {PLACES} ORDER BY place LIMIT ?3"
)
SELECT_EVENTS_OF = (
    f"SELECT place & {PLACES - 1}, at, leg, fence, kind, path, epoch, attempt, payload, crc FROM events "
    f"WHERE place > (SELECT number FROM runs WHERE id = ?1) * {PLACES} "
    f"AND place < (SELECT number + 1 FROM runs WHERE id = ?1) * {PLACES} "
    "AND kind IN (SELECT value FROM json_each(?2)) ORDER BY place"
)
SELECT_DEFINITION = (
    f"SELECT coalesce(r.seq_definition, 1), e.payload, e.crc FROM runs r "
    f"LEFT JOIN events e ON e.place = r.number * {PLACES} + coalesce(r.seq_definition, 1) WHERE r.id = ?"
)
SELECT_WISHES = (
    "SELECT id, cancel_at, cancel_by, cancel_reason, cancel_kill, cancel_via FROM runs "
    "WHERE id IN (SELECT value FROM json_each(?)) AND cancel_at IS NOT NULL"
)
SELECT_STATUS = "SELECT number, status FROM runs WHERE id = ?"
_GATES = (
    "SELECT name, occurrence, path, type, prompt, options, opened_at, deadline_at, decision, by, via, reason, form, "
    "decided_at FROM gates"
)
SELECT_GATES = f"{_GATES} WHERE run = (SELECT number FROM runs WHERE id = ?) ORDER BY seq_first"
SELECT_GATE = f"{_GATES} WHERE run = ? AND name = ? AND occurrence = ?"
_ANSWERS = "SELECT name, occurrence, ordinal, choice, by, via, at, reason, form FROM gate_answers"
SELECT_ANSWERS = f"{_ANSWERS} WHERE run = (SELECT number FROM runs WHERE id = ?) ORDER BY name, occurrence, ordinal"
SELECT_ANSWERS_OF = f"{_ANSWERS} WHERE run = ? AND name = ? AND occurrence = ? ORDER BY ordinal"
SELECT_HEAD = (
    "SELECT number, seq, status, leg, fence, seq_end, (SELECT count(*) FROM gates WHERE run = number), "
    "(SELECT count(*) FROM gates WHERE run = number AND decision IS NOT NULL) FROM runs WHERE id = ?"
)
_LOG = (
    f"SELECT place & {PLACES - 1}, leg, fence, kind, path, epoch, attempt FROM events "
    f"WHERE place > ?1 * {PLACES} AND place < (?1 + 1) * {PLACES}"
)
SELECT_LOG = f"{_LOG} ORDER BY place"
SELECT_LOG_OF_OTHERS = (  # without attempts and ends of any but the steps of the paths ?2
    f"{_LOG} AND (kind <> 'attempt_started' AND kind <> 'step_completed' OR path IN (SELECT value FROM json_each(?2))) "
    "ORDER BY place"
)
SELECT_SIZE = (
    f"SELECT count(*), max(place) & {PLACES - 1}, (SELECT count(*) FROM steps WHERE run = ?1) FROM events "
    f"WHERE place > ?1 * {PLACES} AND place < (?1 + 1) * {PLACES}"
)
_STEP_STATES = (
    "SELECT s.path, s.epoch, s.status, s.attempts, s.seq_first, s.seq_last, s.handled, s.superseded_leg FROM steps s"
)
SELECT_STEP_STATES = f"{_STEP_STATES} WHERE run = ?"
_PLAIN = (  # attempted once, and completed by the next event, both in the leg of the event before: `b`, `e`, and `p`
    "s.epoch = 1 AND s.status = 'completed' AND s.attempts = 1 AND s.seq_last = s.seq_first + 1 "
    "AND s.handled IS NULL AND s.superseded_leg IS NULL "
    "AND b.kind = 'attempt_started' AND b.path = s.path AND b.epoch = 1 AND b.attempt = 0 "
    "AND e.kind = 'step_completed' AND e.path = s.path AND e.epoch = 1 "
    "AND b.leg = p.leg AND b.fence = p.fence AND e.leg = p.leg AND e.fence = p.fence"
)
SELECT_STATES_OF_OTHERS = (
    f"{_STEP_STATES} LEFT JOIN events p ON p.place = s.run * {PLACES} + s.seq_first - 1 "
    f"LEFT JOIN events b ON b.place = s.run * {PLACES} + s.seq_first "
    f"LEFT JOIN events e ON e.place = s.run * {PLACES} + s.seq_last WHERE s.run = ? AND ({_PLAIN}) IS NOT 1"
)
SELECT_PAYLOADS = (
    f"SELECT e.place & {PLACES - 1}, e.path, e.payload, e.crc FROM json_each(?2) wanted "
    f"JOIN events e ON e.place = ?1 * {PLACES} + wanted.value ORDER BY e.place"
)
SELECT_GATE_STATES = "SELECT name, occurrence, path, seq_first, decision, by FROM gates WHERE run = ?"
SELECT_LAST = "SELECT number, seq FROM runs WHERE id = ?"
SELECT_SOURCE = "SELECT text FROM sources WHERE id = ?"
RUNS_ASKED = (
    "SELECT runs.id FROM artifact_refs JOIN runs ON runs.number = artifact_refs.run "
    "WHERE artifact_refs.artifact = ? AND artifact_refs.role = 'request' ORDER BY runs.number DESC LIMIT ?"
)
SELECT_ARTIFACT = "SELECT size, place, bytes FROM artifacts WHERE id = ?"
SELECT_VERSION = "SELECT max(number) FROM schema_info"
