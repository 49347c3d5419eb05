-- Rows that the service had acknowledged and, restored from a copy, does not have any more: offered back for a person to review.
CREATE TABLE lost (
    type   TEXT NOT NULL,
    id     BLOB NOT NULL,
    record BLOB NOT NULL,               -- the id of the record under which the service reviews it
    body   TEXT,                        -- the row as the service had sent it; null once the service holds it for review
    PRIMARY KEY (type, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX lost_record ON lost (record);
