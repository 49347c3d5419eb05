-- What this file is: one row, written at creation and never changed.
CREATE TABLE meta (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    database BLOB NOT NULL,             -- a random id, so that another file put in place is noticed
    practice BLOB NOT NULL,
    device   BLOB NOT NULL,
    owner    BLOB                       -- the clinician of a clinical file
) STRICT;

-- Every entity, whatever its type. Types and members that a program does not know are kept like all others.
CREATE TABLE doc (
    row          INTEGER PRIMARY KEY,   -- names the row in the tables that searches read
    type         TEXT NOT NULL,
    id           BLOB NOT NULL,
    rev          INTEGER NOT NULL,      -- the service's revision; 0 while the service does not have it
    seq          INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,      -- void
    sv           INTEGER NOT NULL,      -- version of the document
    min_writer   INTEGER NOT NULL,      -- the oldest writer that may change it
    scope        TEXT NOT NULL,
    units        TEXT NOT NULL,         -- {unit: revision at which the service last changed it}
    doc          TEXT NOT NULL,         -- canonical JSON as the person sees it: base with waiting changes replayed
    base_doc     TEXT,                  -- the service's last version, null unless changes wait on top of it
    base_deleted INTEGER,
    client      TEXT AS (json_extract(doc, '$.subject.client')) VIRTUAL,
    author      TEXT AS (json_extract(doc, '$.subject.author')) VIRTUAL,
    appointment TEXT AS (json_extract(doc, '$.subject.appointment')) VIRTUAL,
    note        TEXT AS (CASE type WHEN 'addendum' THEN json_extract(doc, '$.subject.note') END) VIRTUAL,
    status      TEXT AS (json_extract(doc, '$.state.state')) VIRTUAL,
    about       TEXT AS (CASE type WHEN 'clinical_conflict' THEN json_extract(doc, '$.about.id') END) VIRTUAL,
    UNIQUE (type, id)
);

CREATE INDEX doc_scope ON doc (scope, type, id);
CREATE INDEX doc_client ON doc (client, type) WHERE client IS NOT NULL;
CREATE INDEX doc_author ON doc (author, type) WHERE author IS NOT NULL;
CREATE INDEX doc_draft ON doc (author) WHERE status = 'draft';
CREATE INDEX doc_appointment ON doc (appointment) WHERE appointment IS NOT NULL;
CREATE INDEX doc_note ON doc (note) WHERE note IS NOT NULL;
CREATE INDEX doc_open ON doc (type) WHERE status = 'open';
CREATE INDEX doc_about ON doc (about) WHERE about IS NOT NULL;

-- What a person did in one go, signed; its operations are in outbox.
CREATE TABLE outbox_group (
    grp        BLOB PRIMARY KEY,
    actor      BLOB NOT NULL,
    role       TEXT NOT NULL,
    origin     BLOB NOT NULL,           -- the replica in which it was done
    origin_mut INTEGER NOT NULL,        -- the first operation's number there
    first_mut  INTEGER NOT NULL,        -- the first operation's number at the present replica
    sig        TEXT NOT NULL,
    sealed     INTEGER NOT NULL,        -- its operation ids are fixed: nothing is ever folded into it
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_group_order ON outbox_group (first_mut);

-- Operations that the service does not have for certain, or whose result has not come back by a pull.
CREATE TABLE outbox (
    place   INTEGER PRIMARY KEY,        -- the order in which they were made; survives a re-registration
    op_id   BLOB NOT NULL UNIQUE,
    grp     BLOB NOT NULL,
    mut     INTEGER NOT NULL,           -- gapless per replica over what was ever sent
    type    TEXT NOT NULL,
    id      BLOB NOT NULL,
    size    INTEGER NOT NULL,           -- of its body, in bytes
    state   TEXT NOT NULL CHECK (state IN ('new', 'sent', 'acked', 'held')),
    ack_seq INTEGER,                    -- of an acknowledged one: the sequence number that a pull has to reach
    at      INTEGER NOT NULL
) STRICT;

-- The operations themselves; immutable from the moment they are first sent. Beside the outbox, so that a change of state rewrites no body.
CREATE TABLE outbox_body (
    place INTEGER PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;

CREATE INDEX outbox_entity ON outbox (type, id);
CREATE INDEX outbox_of_group ON outbox (grp);
CREATE INDEX outbox_acked ON outbox (ack_seq) WHERE state = 'acked';
CREATE INDEX outbox_waiting ON outbox (place, at) WHERE state IN ('new', 'sent');

-- Groups that the service refused, or that could not be sent any more. A person decides what becomes of them.
CREATE TABLE refused (
    grp    BLOB PRIMARY KEY,
    at     INTEGER NOT NULL,
    why    TEXT NOT NULL,
    fields TEXT NOT NULL,
    body   TEXT NOT NULL
) STRICT;

-- Position in the practice's history, settings of this computer.
CREATE TABLE state (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What has still to be done in the other file of this computer.
CREATE TABLE intent (
    id   BLOB PRIMARY KEY,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- What the other file asked for and was done here.
CREATE TABLE executed_intent (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The hash chain: hash = SHA-256(form, previous hash, entry). Entries hold ids and salted hashes, no names and no text.
CREATE TABLE audit (
    seq   INTEGER PRIMARY KEY,
    entry TEXT NOT NULL,
    hash  BLOB NOT NULL
) STRICT;
