import type { CalendarItem } from "$lib/backend";
import { formatDate, formatRange } from "$lib/i18n/format";
import { modalityWords, placementWords, statusWords } from "$lib/i18n/words";
import { m } from "$lib/paraglide/messages";
import { namesOf } from "./occupies";

/** One appointment in one breath, for people who listen: who, date, time, therapist, state. */
export function describeItem(item: CalendarItem, locale: string, published: boolean): string {
  return [
    namesOf(item),
    formatDate(locale, item.date, "full"),
    formatRange(item.startTime, item.endTime),
    item.therapistName,
    item.roomName,
    item.modality === "in_person" ? null : modalityWords[item.modality](),
    statusWords[item.status](),
    published && item.placement !== "placed" ? placementWords[item.placement]() : null,
    item.clash ? m.clash_here() : null,
    item.documented ? m.documented() : null,
    published && !item.shared ? m.not_yet_shared() : null,
  ]
    .filter(Boolean)
    .join(", ");
}
