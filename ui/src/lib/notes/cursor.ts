// Where the cursor was in a draft, over a lock and the reload that goes with it: ids and a number, never text.

const place = "note-cursor";

export interface Cursor {
  key: string;
  at: number;
}

export function keepCursor(noteId: string, key: string, at: number) {
  sessionStorage.setItem(place, JSON.stringify({ noteId, key, at }));
}

/** The place kept for this note, if it is the last one that was kept. */
export function takeCursor(noteId: string): Cursor | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(place) ?? "null");
    if (typeof kept !== "object" || kept === null || !("noteId" in kept) || kept.noteId !== noteId) return null;
    const { key, at } = kept as unknown as Cursor;
    return typeof key === "string" && Number.isInteger(at) ? { key, at } : null;
  } catch {
    return null;
  }
}
