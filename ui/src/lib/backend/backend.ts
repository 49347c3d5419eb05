// The one way out of the window. Screens know this interface and nothing of Tauri or HTTP.
import type * as t from "./types";

/** Every command: what it takes and what it answers. */
export interface Commands {
  status: [void, t.Status];
  create_practice: [t.CreatePractice, t.RecoveryKit];
  recovery_kit: [void, t.RecoveryKit];
  recovery_pdf: [void, t.SavedFile];
  confirm_recovery: [t.ConfirmRecovery, t.Status];
  unlock: [t.Unlock, t.Status];
  recover: [t.Recover, t.Status];
  renew_recovery_code: [void, t.Status];
  lock: [void, t.Status];
  heartbeat: [t.Heartbeat, t.HeartbeatAnswer];
  join: [t.Join, t.Status];
  keyring: [void, t.KeyringState];
  set_keyring: [t.SetKeyring, t.KeyringState];
  preferences: [void, t.Preferences];
  set_preferences: [t.Preferences, t.Preferences];
  practice: [void, t.Practice];
  save_location: [t.SaveLocation, t.Practice];
  staff: [void, t.StaffMember[]];
  publish: [t.Publish, t.SyncOverview];
  mint_enrolment: [t.MintEnrolment, t.Enrolment];
  computers: [void, t.Computer[]];
  revoke_computer: [t.ById, t.Computer[]];
  today: [t.TodayRequest, t.Today];
  calendar: [t.CalendarRequest, t.Calendar];
  appointment: [t.ById, t.AppointmentDetail];
  book: [t.Book, t.BookOutcome];
  move_appointment: [t.MoveAppointment, t.BookOutcome];
  set_status: [t.SetStatus, t.AppointmentDetail];
  search_clients: [t.SearchClients, t.ClientList];
  client: [t.ById, t.ClientRecord];
  create_client: [t.CreateClient, t.CreateClientOutcome];
  update_client: [t.UpdateClient, t.ClientRecord];
  save_related_person: [t.SaveRelatedPerson, t.ClientRecord];
  grant_care: [t.GrantCare, t.ClientRecord];
  end_care: [t.EndCare, t.ClientRecord];
  save_chart: [t.SaveChart, t.ClientRecord];
  notes: [t.NotesRequest, t.NoteSummary[]];
  note: [t.ById, t.Note];
  create_note: [t.CreateNote, t.Note];
  autosave_note: [t.AutosaveNote, t.NoteSaved];
  sign_note: [t.ById, t.Note];
  add_addendum: [t.AddAddendum, t.Note];
  mark_entered_in_error: [t.ByIdWithReason, t.Note];
  verify_note: [t.ById, t.NoteVerification];
  prescriptions: [t.ByClient, t.PrescriptionSummary[]];
  prescription: [t.ById, t.Prescription];
  save_prescription: [t.SavePrescription, t.Prescription];
  issue_prescription: [t.ById, t.Prescription];
  prescription_pdf: [t.PrintRequest, t.SavedFile];
  stop_prescription: [t.ByIdWithReason, t.Prescription];
  void_prescription: [t.ByIdWithReason, t.Prescription];
  reissue_prescription: [t.ById, t.Prescription];
  sync_overview: [void, t.SyncOverview];
  share_now: [void, t.SyncOverview];
  retry_refused: [t.ById, t.SyncOverview];
  discard_refused: [t.ById, t.SyncOverview];
  conflicts: [void, t.Conflict[]];
  settle_conflict: [t.SettleConflict, t.Conflict[]];
  clashes: [void, t.Clash[]];
  settle_clash: [t.SettleClash, t.Clash[]];
  reoffers: [void, t.Reoffer[]];
  settle_reoffer: [t.SettleReoffer, t.Reoffer[]];
  accept_missing_reoffers: [void, t.Reoffer[]];
  checksum: [void, t.Checksum];
}

export interface Events {
  changed: t.Changed;
  sync: t.SyncOverview;
  locked: null;
}

export type CommandName = keyof Commands;
export type EventName = keyof Events;
export type Request<K extends CommandName> = Commands[K][0] extends void ? [] : [request: Commands[K][0]];
export type Answer<K extends CommandName> = Commands[K][1];

export interface Backend {
  /** Rejects with a `Failure` and with nothing else. */
  call<K extends CommandName>(name: K, ...request: Request<K>): Promise<Answer<K>>;
  /** Answers a function that stops listening. */
  listen<E extends EventName>(event: E, handler: (payload: Events[E]) => void): () => void;
}

/** `no_answer` is the window's own: the other side did not reply in time or not in a shape that can be read. */
export type FailureCode = t.ErrorCode | "no_answer";

export interface Failure {
  code: FailureCode;
  fields: t.FieldError[];
  retry: boolean;
}

/** Makes a `Failure` of whatever a transport threw. */
export function failureOf(thrown: unknown): Failure {
  if (typeof thrown === "object" && thrown !== null && "code" in thrown && typeof thrown.code === "string") {
    const error = thrown as Partial<t.AppError>;
    return { code: error.code ?? "internal", fields: error.fields ?? [], retry: error.retry ?? false };
  }
  return { code: "no_answer", fields: [], retry: true };
}

const slow: CommandName[] = ["create_practice", "unlock", "recover", "join", "publish", "share_now", "revoke_computer", "prescription_pdf", "checksum", "accept_missing_reoffers"];

/** How long an answer may take. A command refused inside the shell's isolation frame would otherwise stay open for ever. */
export function patience(name: CommandName): number {
  return slow.includes(name) ? 120_000 : 30_000;
}

/** Settles with the promise, or rejects with `no_answer` after `ms`. */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject({ code: "no_answer", fields: [], retry: true } satisfies Failure), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
