import { backend, type CalendarItem, type NoteSummary } from "$lib/backend";
import { router } from "$lib/router/router.svelte";

/** Opens the draft of a session, or makes one. For couples and groups the first participant's note is started. */
export async function startNote(item: CalendarItem, notes: readonly NoteSummary[]): Promise<void> {
  const draft = notes.find((note) => note.state === "draft");
  if (draft) return router.go("note", { id: draft.id });
  const clientId = item.participants[0]?.clientId;
  if (!clientId) return;
  const note = await backend.call("create_note", { clientId, appointmentId: item.id, template: "soap" });
  router.go("note", { id: note.summary.id });
}
