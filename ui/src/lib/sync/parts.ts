// The parts of a record that was offered back, in words: what each is called, and codes of closed lists as they are read elsewhere.
import {
  careWords,
  modalityWords,
  noteStateWords,
  permissionWords,
  prescriptionStateWords,
  relationWords,
  riskWords,
  roleWords,
  statusWords,
  templateWords,
  unitWord,
} from "$lib/i18n/words";
import { m } from "$lib/paraglide/messages";

const names = new Map<string, () => string>([
  ["number", m.column_number],
  ["clients", m.client],
  ["modality", m.modality],
  ["care", m.field_status],
  ["therapist", m.resource_therapist],
  ["author", m.part_author],
  ["noteState", m.field_status],
  ["prescriptionState", m.field_status],
  ["template", m.note_template],
  ["title", m.part_title],
  ["rooms", m.rooms],
  ["zone", m.zone],
  ["role", m.role],
  ["licence", m.licence],
]);

const codes = new Map<string, Record<string, () => string>>([
  ["care", careWords],
  ["modality", modalityWords],
  ["noteState", noteStateWords],
  ["prescriptionState", prescriptionStateWords],
  ["relation", relationWords],
  ["risk", riskWords],
  ["role", roleWords],
  ["sms", permissionWords],
  ["status", statusWords],
  ["template", templateWords],
  ["voicemail", permissionWords],
]);

/** What a part is called; one that this version does not know is shown by its name. */
export function partName(name: string): string {
  return names.get(name)?.() ?? unitWord(name);
}

/** What a part says; a code that this version does not know is shown as it is. */
export function partText(name: string, text: string): string {
  const words = codes.get(name);
  return words && Object.hasOwn(words, text) ? (words[text]?.() ?? text) : text;
}
