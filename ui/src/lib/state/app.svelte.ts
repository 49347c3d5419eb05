// What the whole window shares: the phase, the look, the sharing chip, notices, and locking.
import { backend, type Failure, type Preferences, type Status, type SyncOverview } from "$lib/backend";
import { language } from "$lib/i18n/language.svelte";
import { m } from "$lib/paraglide/messages";

export interface Notice {
  id: number;
  text: string;
  undo?: () => Promise<unknown>;
}

type Flush = () => Promise<void>;

const warnBeforeLockSeconds = 60;
const noticeMillis = 8_000;
const heartbeatMillis = 10_000;

class AppState {
  status = $state.raw<Status | null>(null);
  failure = $state.raw<Failure | null>(null);
  sync = $state.raw<SyncOverview | null>(null);
  notices = $state.raw<Notice[]>([]);
  /** Said by the polite live region. */
  spoken = $state("");
  /** Seconds until the automatic lock, while it is near. */
  locksIn = $state<number | null>(null);
  /** Everything is taken down and the page is about to be loaded anew. */
  leaving = $state(false);

  session = $derived(this.status?.session ?? null);
  clinician = $derived(this.session?.clinician ?? false);
  admin = $derived(this.session?.admin ?? false);
  published = $derived(this.status?.published ?? false);

  private readonly flushes = new Set<Flush>();
  private lastInput = Date.now();
  private syncHeard = 0;
  private nextNotice = 1;

  /** Asks for the first status and starts to listen. */
  async start() {
    backend.listen("sync", (overview) => {
      this.syncHeard += 1;
      this.takeSync(overview);
    });
    backend.listen("locked", () => this.leave());
    for (const kind of ["keydown", "pointerdown", "pointermove"] as const) {
      window.addEventListener(kind, () => (this.lastInput = Date.now()), { passive: true, capture: true });
    }
    setInterval(() => void this.beat(), heartbeatMillis);
    await this.refresh();
  }

  async refresh() {
    try {
      this.take(await backend.call("status"));
      this.failure = null;
    } catch (failure) {
      this.failure = failure as Failure;
    }
  }

  /** Takes over a status that a command answered. */
  take(status: Status) {
    this.status = status;
    this.applyPreferences(status.preferences);
    if (status.phase === "unlocked") void this.refreshSync();
  }

  /** Asks how sharing stands. What was announced while the answer was on its way is newer than the answer. */
  async refreshSync() {
    const heard = this.syncHeard;
    try {
      const overview = await backend.call("sync_overview");
      if (heard === this.syncHeard) this.takeSync(overview);
    } catch {
      // The chip keeps what it last knew; the Sync screen shows the reason when it is opened.
    }
  }

  takeSync(overview: SyncOverview) {
    this.sync = overview;
    if (this.status && !this.status.published && overview.state !== "not_published") {
      this.status = { ...this.status, published: true };
    }
  }

  applyPreferences(preferences: Preferences) {
    if (this.status) this.status = { ...this.status, preferences };
    language.set(preferences.language);
    const dark = preferences.theme === "dark" || (preferences.theme === "system" && prefersDark.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.dataset.density = preferences.density;
  }

  /** Registers something that must be durable before the window locks; answers how to take it back. */
  beforeLock(flush: Flush): () => void {
    this.flushes.add(flush);
    return () => this.flushes.delete(flush);
  }

  async flush() {
    await Promise.allSettled([...this.flushes].map((each) => each()));
  }

  async lock() {
    await this.flush();
    try {
      await backend.call("lock");
      this.leave();
    } catch (failure) {
      this.failure = failure as Failure;
      this.notice(this.failure);
    }
  }

  /** A command was refused because nobody is signed in any more: the screens must not stay up. */
  notice(failure: Failure) {
    if (failure.code === "locked" && this.status?.phase === "unlocked") this.leave();
  }

  /**
   * Takes every screen down and loads the page anew: what was on them is in no variable any more. The address stays, ids
   * alone, so that the same person finds her place again.
   */
  leave() {
    if (this.leaving) return;
    this.leaving = true;
    this.notices = [];
    this.spoken = "";
    history.replaceState(null, "", window.location.hash.split("?")[0] || "#/unlock");
    setTimeout(() => window.location.reload(), 0);
  }

  /** Counts as activity, so that the lock is put off. */
  stay() {
    this.lastInput = Date.now();
    this.locksIn = null;
    void this.beat();
  }

  say(text: string) {
    this.spoken = "";
    setTimeout(() => (this.spoken = text), 30);
  }

  /** A short notice, spoken too, with an optional way back. */
  tell(text: string, undo?: () => Promise<unknown>) {
    const notice: Notice = { id: this.nextNotice++, text, undo };
    this.notices = [...this.notices.slice(-1), notice];
    this.say(text);
    setTimeout(() => this.dismiss(notice.id), noticeMillis);
  }

  dismiss(id: number) {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  async undo(notice: Notice) {
    this.dismiss(notice.id);
    try {
      await notice.undo?.();
      this.say(m.undone());
    } catch {
      this.tell(m.undo_failed());
    }
  }

  private async beat() {
    if (this.status?.phase !== "unlocked" || this.leaving) return;
    const idleSeconds = Math.floor((Date.now() - this.lastInput) / 1000);
    try {
      const { locksInSeconds } = await backend.call("heartbeat", { idleSeconds });
      const near = locksInSeconds !== null && locksInSeconds <= warnBeforeLockSeconds;
      if (near && this.locksIn === null) this.say(m.lock_soon({ seconds: locksInSeconds }));
      if (near) void this.flush();
      this.locksIn = near ? locksInSeconds : null;
    } catch {
      // The lock is the program's decision; a missed beat only means that it comes sooner.
    }
  }
}

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
export const app = new AppState();
prefersDark.addEventListener("change", () => app.status && app.applyPreferences(app.status.preferences));
