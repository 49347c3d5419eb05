import type { BookOutcome } from "$lib/backend";

/** Where an appointment was to go when the time turned out to be taken. */
export interface MoveWish {
  id: string;
  date: string;
  startTime: string;
  minutes: number;
  therapistId: string | null;
  taken: Extract<BookOutcome, { outcome: "slot_taken" }>;
}
