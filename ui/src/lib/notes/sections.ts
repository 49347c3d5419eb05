import type { NoteTemplate } from "$lib/backend";
import { templateSections } from "$lib/i18n/words";

/** A template's sections, followed by others that hold text: changing the template loses none. */
export function sectionsFor(template: NoteTemplate, texts: Record<string, string>): string[] {
  const named = templateSections[template];
  const others = Object.keys(texts).filter((key) => !named.includes(key) && (texts[key] ?? "").trim() !== "");
  return [...named, ...others];
}
