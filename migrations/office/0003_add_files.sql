-- Encrypted files that documents name: which of them are on this computer, which wait to be sent, which are to be fetched. The ciphertext
-- itself lies beside this file, in a folder of its own.
CREATE TABLE file (
    blob        BLOB PRIMARY KEY,       -- the random id, also the name in the folder
    type        TEXT NOT NULL,          -- the document that names it
    id          BLOB NOT NULL,
    sealed_size INTEGER NOT NULL,       -- bytes of the ciphertext
    sha256      BLOB NOT NULL,          -- of the ciphertext
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'refused', 'shared', 'wanted', 'fetched')),
    at          INTEGER NOT NULL        -- when it was added or wanted
) STRICT, WITHOUT ROWID;

CREATE INDEX file_by_document ON file (type, id);
CREATE INDEX file_open ON file (state, at) WHERE state IN ('waiting', 'wanted');

-- A client's documents are listed on the client's record.
CREATE INDEX doc_document ON doc (json_extract(doc, '$.subject.client')) WHERE type = 'document';
