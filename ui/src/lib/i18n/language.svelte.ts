// Which language the window speaks. Messages are compiled functions that read one global; changing it draws everything anew.
import { getLocale, overwriteGetLocale } from "$lib/paraglide/runtime";
import type { Language } from "$lib/backend";

export type Locale = "en" | "ko";

function systemLocale(): Locale {
  return navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
}

class LanguageState {
  locale = $state<Locale>(systemLocale());

  constructor() {
    overwriteGetLocale(() => this.locale);
  }

  set(language: Language) {
    this.locale = language === "system" ? systemLocale() : language;
    document.documentElement.lang = this.locale;
  }
}

export const language = new LanguageState();
export { getLocale };
