-- A service can be restored again before anybody has reviewed what it lost the last time: every version of a row that it lost is kept, until
-- somebody has decided about it.
CREATE TABLE lost_version (
    type    TEXT NOT NULL,
    id      BLOB NOT NULL,
    record  BLOB NOT NULL,              -- the id of the record under which the service reviews it
    body    TEXT,                       -- the row as the service had sent it; null in files of earlier programs, once it was offered
    offered INTEGER NOT NULL,           -- whether it was offered to the service as it is now
    PRIMARY KEY (type, id, record)
) STRICT, WITHOUT ROWID;

INSERT INTO lost_version (type, id, record, body, offered) SELECT type, id, record, body, body IS NULL FROM lost;
DROP TABLE lost;
ALTER TABLE lost_version RENAME TO lost;
CREATE INDEX lost_record ON lost (record);

-- Whether the bases of a group name revisions of a history that the service has lost, so that it counts as made in sight of nothing.
ALTER TABLE outbox_group ADD COLUMN detached INTEGER NOT NULL DEFAULT 0;

-- Whether a group is held back until the reviews of lost rows are settled: its own, or those of groups that it was made behind.
ALTER TABLE outbox_group ADD COLUMN awaits_review INTEGER NOT NULL DEFAULT 0;
UPDATE outbox_group SET awaits_review = 1
WHERE grp IN (SELECT grp FROM outbox JOIN lost USING (type, id) WHERE state = 'held');
