import type { PrescriptionState } from "$lib/backend";

/** The chip's tone beside the word; never the only sign of a state. */
export const stateTone: Record<PrescriptionState, string> = {
  draft: "warn",
  issued: "ok",
  printed: "ok",
  stopped: "",
  voided: "danger",
  replaced: "",
  expired: "",
};
