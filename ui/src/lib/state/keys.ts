// Shortcut keys. A letter is taken from what the key writes, also when a Korean two-set layout is on; while a syllable is
// being composed no key is ours.

const jamo: Record<string, string> = {
  ㅂ: "q", ㅈ: "w", ㄷ: "e", ㄱ: "r", ㅅ: "t", ㅛ: "y", ㅕ: "u", ㅑ: "i", ㅐ: "o", ㅔ: "p",
  ㅁ: "a", ㄴ: "s", ㅇ: "d", ㄹ: "f", ㅎ: "g", ㅗ: "h", ㅓ: "j", ㅏ: "k", ㅣ: "l",
  ㅋ: "z", ㅌ: "x", ㅊ: "c", ㅍ: "v", ㅠ: "b", ㅜ: "n", ㅡ: "m",
};

/** Whether the key belongs to a syllable that is still being composed: Enter then finishes the syllable and sends nothing. */
export function isComposing(event: KeyboardEvent): boolean {
  // WebKit ends the composition before it reports the key that ended it; such a key has the code 229.
  return event.isComposing || event.keyCode === 229;
}

/** The Latin letter or key name of an event; null while text is being composed. */
export function keyOf(event: KeyboardEvent): string | null {
  if (isComposing(event)) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return jamo[key] ?? key;
}

/** Ctrl, or Cmd on a Mac. */
export function withCommand(event: KeyboardEvent): boolean {
  return (event.ctrlKey || event.metaKey) && !event.altKey;
}

/** Whether the person is writing: single letters are theirs then. */
export function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable], dialog") !== null;
}
