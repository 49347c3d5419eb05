// The place of somebody who works by keys: what had the focus may go at any moment, because she settled it or because somebody else did.

/** The cards of the screen, each of which takes the focus as a whole. */
export const cards = () => [...document.querySelectorAll<HTMLElement>("[data-card]")];

/**
 * Hands the focus on when what had it is gone and nothing else took it: to the card that took the place of the one that went, to the last
 * card, or to the heading of the screen. Answers how to end this.
 */
export function keepPlace(): () => void {
  let held: HTMLElement | null = null;
  let at = -1;

  const note = () => {
    if (!(document.activeElement instanceof HTMLElement) || document.activeElement === document.body) return;
    held = document.activeElement;
    at = cards().findIndex((card) => card.contains(held));
  };
  // Whoever clicks beside it has let go of it.
  const letGo = ({ target }: PointerEvent) => {
    if (target instanceof Node && !held?.contains(target)) held = null;
  };
  const handOn = () => {
    if (!held || held.isConnected || document.activeElement !== document.body) return note();
    const left = at < 0 ? [] : cards();
    (left[at] ?? left.at(-1) ?? document.querySelector("h1"))?.focus();
  };

  // Only after everything that the change itself brings the focus to has had its turn.
  const observer = new MutationObserver(() => setTimeout(handOn, 0));
  observer.observe(document.body, { childList: true, subtree: true });
  document.addEventListener("focusin", note);
  document.addEventListener("pointerdown", letGo, { capture: true });
  note();
  return () => {
    observer.disconnect();
    document.removeEventListener("focusin", note);
    document.removeEventListener("pointerdown", letGo, { capture: true });
  };
}
