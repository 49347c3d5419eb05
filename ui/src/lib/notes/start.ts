import { backend, type CalendarItem, type NoteState } from "$lib/backend";
import { router } from "$lib/router/router.svelte";
import { m } from "$lib/paraglide/messages";
import { nextStep, type NoteStep } from "./step";

/** What the button says that leads to a session's note. */
export const stepWords: Record<NoteStep, () => string> = {
  start: m.note_start,
  continue: m.note_continue,
  open: m.note_open,
};

/** Opens the note of a session, or starts one. For couples and groups the first participant's note is started. */
export async function startNote(item: CalendarItem, notes: readonly { id: string; state: NoteState }[]): Promise<void> {
  const { note } = nextStep(notes);
  if (note) return router.go("note", { id: note.id });
  const clientId = item.participants[0]?.clientId;
  if (!clientId) return;
  const made = await backend.call("create_note", { clientId, appointmentId: item.id, template: "soap" });
  router.go("note", { id: made.summary.id });
}
