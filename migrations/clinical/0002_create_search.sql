-- Full text of notes and addenda, kept by the program in the transaction that changes the document. It holds no copy of the text, only the
-- index; what is taken out of it is overwritten.
CREATE VIRTUAL TABLE note_search USING fts5 (
    body,
    grams,                              -- pairs of Hangul syllables, to find words inside compounds
    content = '',
    tokenize = 'unicode61 remove_diacritics 2',
    prefix = '2 3'
);

INSERT INTO note_search (note_search, rank) VALUES ('secure-delete', 1);
