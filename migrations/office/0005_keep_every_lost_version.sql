-- A service can be restored again before anybody has reviewed what it lost the last time: every version of a row that it lost is kept.
CREATE TABLE lost_version (
    type   TEXT NOT NULL,
    id     BLOB NOT NULL,
    record BLOB NOT NULL,               -- the id of the record under which the service reviews it
    body   TEXT,                        -- the row as the service had sent it; null once the service holds it for review
    PRIMARY KEY (type, id, record)
) STRICT, WITHOUT ROWID;

INSERT INTO lost_version (type, id, record, body) SELECT type, id, record, body FROM lost;
DROP TABLE lost;
ALTER TABLE lost_version RENAME TO lost;
CREATE INDEX lost_record ON lost (record);

-- Whether the bases of a group name revisions of a history that the service has lost, so that it counts as made in sight of nothing.
ALTER TABLE outbox_group ADD COLUMN detached INTEGER NOT NULL DEFAULT 0;
