-- Ciphertext of files. What a computer sends in parts is kept in parts; nothing here can be read without the key in the document's row.

CREATE TABLE blob (
    practice BLOB NOT NULL,
    blob     BLOB NOT NULL,
    begun_by BLOB NOT NULL,                  -- the person who began to send it
    begun_ms INTEGER NOT NULL,               -- one that is not committed some time after it was begun is begun anew
    received INTEGER NOT NULL,               -- bytes, from the beginning and without a gap
    sha256   BLOB,                           -- of a committed one: over all its bytes, computed here
    PRIMARY KEY (practice, blob)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_open ON blob (practice, begun_ms) WHERE sha256 IS NULL;

CREATE TABLE blob_chunk (
    row      INTEGER PRIMARY KEY,
    practice BLOB NOT NULL,
    blob     BLOB NOT NULL,
    off      INTEGER NOT NULL,               -- the place of its first byte
    bytes    BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX blob_chunk_by_place ON blob_chunk (practice, blob, off);
