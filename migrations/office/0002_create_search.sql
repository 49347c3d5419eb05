-- Kept by the program in the transaction that changes the document; all of it can be made again from the documents.

-- How a client is found: names folded in both orders, initial consonants, numbers. Scanned by substring.
CREATE TABLE client_search (
    row    INTEGER PRIMARY KEY,
    key    TEXT NOT NULL,
    digits TEXT NOT NULL,               -- of the telephone numbers
    sort   TEXT NOT NULL,
    number INTEGER                      -- of the client number, to propose the next
) STRICT;

CREATE INDEX client_search_sort ON client_search (sort);
CREATE INDEX client_search_number ON client_search (number);

-- The therapist, room and client days that an appointment takes, to find overlaps.
CREATE TABLE slot (
    slot TEXT NOT NULL,
    row  INTEGER NOT NULL,
    PRIMARY KEY (slot, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX slot_row ON slot (row);

-- Who takes part, whatever the appointment's status.
CREATE TABLE participant (
    client TEXT NOT NULL,
    row    INTEGER NOT NULL,
    PRIMARY KEY (client, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX participant_row ON participant (row);
