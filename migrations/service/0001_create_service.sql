-- The embedded service's tables. Ids are the 16 bytes of their UUID. Content of clinical rows and operations is sealed; office
-- content is canonical JSON. Nothing is ever deleted from op.

CREATE TABLE practice (
    practice      BLOB PRIMARY KEY,
    name          TEXT NOT NULL,
    root_key      BLOB NOT NULL,
    sealed_key    BLOB NOT NULL,             -- the practice's key, sealed under the master key
    epoch         TEXT NOT NULL,             -- identity of the history
    seq           INTEGER NOT NULL,          -- newest sequence number
    chain         BLOB NOT NULL,             -- hash chain up to it
    client_number INTEGER NOT NULL,          -- highest client number given out
    gc_floor      INTEGER NOT NULL,          -- tombstones below it are gone
    replicas      INTEGER NOT NULL           -- replica numbers given out
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    practice   BLOB NOT NULL,
    user       BLOB NOT NULL,
    role       TEXT NOT NULL,
    admin      INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    PRIMARY KEY (practice, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    practice   BLOB NOT NULL,
    device     BLOB NOT NULL,
    public_key BLOB NOT NULL,
    name       TEXT NOT NULL,
    revoked    INTEGER NOT NULL,
    PRIMARY KEY (practice, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_user (
    practice BLOB NOT NULL,
    device   BLOB NOT NULL,
    user     BLOB NOT NULL,
    PRIMARY KEY (practice, device, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment (
    practice          BLOB NOT NULL,
    id                TEXT NOT NULL,
    authorisation     TEXT NOT NULL,         -- JSON
    admin_certificate TEXT NOT NULL,         -- JSON
    sealed_bundle     TEXT,
    user              BLOB NOT NULL,
    user_name         TEXT NOT NULL,
    role              TEXT NOT NULL,
    admin             INTEGER NOT NULL,
    expires_ms        INTEGER NOT NULL,
    used              INTEGER NOT NULL,
    PRIMARY KEY (practice, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    practice           BLOB NOT NULL,
    family             TEXT NOT NULL,
    user               BLOB NOT NULL,
    device             BLOB NOT NULL,
    access             BLOB NOT NULL,        -- SHA-256 of the token
    access_expires_ms  INTEGER NOT NULL,
    refresh            BLOB NOT NULL,        -- SHA-256 of the token
    refresh_expires_ms INTEGER NOT NULL,
    ended              INTEGER NOT NULL,
    PRIMARY KEY (practice, family)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX session_by_access ON session (practice, access);
CREATE UNIQUE INDEX session_by_refresh ON session (practice, refresh);

CREATE TABLE spent_refresh (                 -- exchanged refresh tokens: using one again ends its session
    practice BLOB NOT NULL,
    refresh  BLOB NOT NULL,
    family   TEXT NOT NULL,
    PRIMARY KEY (practice, refresh)
) STRICT, WITHOUT ROWID;

CREATE TABLE replica (
    practice BLOB NOT NULL,
    replica  BLOB NOT NULL,
    kind     TEXT NOT NULL,                  -- office, clinical
    device   BLOB NOT NULL,
    user     BLOB NOT NULL,
    replaces BLOB,
    number   INTEGER NOT NULL,
    last_mut INTEGER,                        -- the last decided operation
    last_op  BLOB,
    PRIMARY KEY (practice, replica)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX replica_by_number ON replica (practice, number);

CREATE TABLE entity (
    row        INTEGER PRIMARY KEY,
    practice   BLOB NOT NULL,
    t          TEXT NOT NULL,
    id         BLOB NOT NULL,
    rev        INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    schema     INTEGER NOT NULL,
    min_writer INTEGER NOT NULL,
    scope      TEXT NOT NULL,
    doc        TEXT,                         -- office: canonical JSON
    marks      TEXT,                         -- office: [[revision, replica, [unit, ...]], ...]
    sealed     BLOB,                         -- clinical: both
    care       BLOB,                         -- the therapist of a care relationship that gives access
    CHECK ((sealed IS NULL) = (doc IS NOT NULL AND marks IS NOT NULL)),
    CHECK (sealed IS NOT NULL OR scope = 'office')
) STRICT;

CREATE UNIQUE INDEX entity_by_key ON entity (practice, t, id);
CREATE UNIQUE INDEX entity_by_seq ON entity (practice, seq);
CREATE INDEX entity_by_scope ON entity (practice, scope, t, id);
CREATE INDEX entity_by_care ON entity (practice, care) WHERE care IS NOT NULL;

CREATE TABLE entity_slot (                   -- where bookings and open clashes are found again
    practice BLOB NOT NULL,
    slot     TEXT NOT NULL,
    row      INTEGER NOT NULL REFERENCES entity (row),
    PRIMARY KEY (practice, slot, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX entity_slot_by_row ON entity_slot (row);

CREATE TABLE op (                            -- receipt, history and proof in one
    practice  BLOB NOT NULL,
    replica   BLOB NOT NULL,
    mut       INTEGER NOT NULL,
    op_id     BLOB NOT NULL,
    first     INTEGER NOT NULL,              -- 0: sent again by a re-registered device
    grp       BLOB NOT NULL,
    actor     BLOB NOT NULL,
    result    TEXT NOT NULL,                 -- JSON, as answered
    op        TEXT,                          -- office: JSON, as sent
    sealed    BLOB,                          -- clinical: the same, sealed
    first_seq INTEGER,                       -- the sequence numbers that it used, if any
    last_seq  INTEGER,
    leaves    BLOB,                          -- the leaves of the rows as it wrote them
    chain     BLOB NOT NULL,                 -- the hash chain after it
    CHECK ((op IS NULL) = (sealed IS NOT NULL)),
    CHECK ((first_seq IS NULL) = (last_seq IS NULL) AND (first_seq IS NULL) = (leaves IS NULL)),
    PRIMARY KEY (practice, replica, mut)
) STRICT;

CREATE UNIQUE INDEX op_by_id ON op (practice, op_id) WHERE first = 1;
CREATE UNIQUE INDEX op_by_seq ON op (practice, last_seq) WHERE last_seq IS NOT NULL;
