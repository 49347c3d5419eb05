-- Where a practice's history stood and when, about once a day: it says which tombstones are old enough to go.

CREATE TABLE head_mark (
    practice BLOB NOT NULL,
    at_ms    INTEGER NOT NULL,               -- the service's clock
    seq      INTEGER NOT NULL,               -- newest sequence number then
    PRIMARY KEY (practice, at_ms)
) STRICT, WITHOUT ROWID;
