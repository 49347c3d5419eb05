import type { NoteState } from "$lib/backend";

/** What is to be done about the note of a session. */
export type NoteStep = "start" | "continue" | "open";

/** A draft is continued and a signed note is opened; a note entered in error leaves the session without one. */
export function nextStep<T extends { state: NoteState }>(notes: readonly T[]): { step: NoteStep; note: T | null } {
  const draft = notes.find((note) => note.state === "draft");
  if (draft) return { step: "continue", note: draft };
  const signed = notes.find((note) => note.state === "signed");
  return signed ? { step: "open", note: signed } : { step: "start", note: null };
}
