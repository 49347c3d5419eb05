import type { AppointmentStatus, CalendarItem } from "$lib/backend";

const free: AppointmentStatus[] = ["no_show", "cancelled_by_client", "late_cancelled", "cancelled_by_therapist"];

/** Whether an appointment takes up its time; the same rule as the program's. */
export function occupiesTime(item: CalendarItem): boolean {
  return !free.includes(item.status);
}

/** Cancelled ones are not drawn on the grid; a no-show is, struck through. */
export function isCancelled(item: CalendarItem): boolean {
  return free.includes(item.status) && item.status !== "no_show";
}

export function namesOf(item: CalendarItem): string {
  return item.participants.map((participant) => participant.name).join(", ");
}
