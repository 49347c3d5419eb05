// From every error code to what a person needs: what happened, and what to do. Types keep the tables complete.
import type { FieldProblem } from "$lib/backend";
import type { FailureCode } from "$lib/backend";
import { m } from "$lib/paraglide/messages";

export interface ErrorWords {
  /** What happened and what is safe. */
  what: () => string;
  /** What to do now. */
  todo: () => string;
}

export const errorWords: Record<FailureCode, ErrorWords> = {
  invalid_request: { what: m.err_invalid_request, todo: m.todo_report },
  invalid_fields: { what: m.err_invalid_fields, todo: m.todo_correct },
  not_found: { what: m.err_not_found, todo: m.todo_go_back },
  forbidden: { what: m.err_forbidden, todo: m.todo_ask_admin },
  locked: { what: m.err_locked, todo: m.todo_unlock },
  practice_exists: { what: m.err_practice_exists, todo: m.todo_unlock },
  no_practice: { what: m.err_no_practice, todo: m.todo_create_or_join },
  recovery_mismatch: { what: m.err_recovery_mismatch, todo: m.todo_check_paper },
  wrong_passphrase: { what: m.err_wrong_passphrase, todo: m.todo_type_again },
  too_many_attempts: { what: m.err_too_many_attempts, todo: m.todo_wait },
  profile_in_use: { what: m.err_profile_in_use, todo: m.todo_close_other },
  keyring_unavailable: { what: m.err_keyring_unavailable, todo: m.todo_use_passphrase },
  keys_damaged: { what: m.err_keys_damaged, todo: m.todo_restore },
  keys_missing: { what: m.err_keys_missing, todo: m.todo_restore },
  store_damaged: { what: m.err_store_damaged, todo: m.todo_restore },
  store_newer: { what: m.err_store_newer, todo: m.todo_update },
  store_rolled_back: { what: m.err_store_rolled_back, todo: m.todo_restore },
  store_missing: { what: m.err_store_missing, todo: m.todo_restore },
  disk_full: { what: m.err_disk_full, todo: m.todo_free_space },
  disk_error: { what: m.err_disk_error, todo: m.todo_check_disk },
  transition_refused: { what: m.err_transition_refused, todo: m.todo_reload },
  immutable: { what: m.err_immutable, todo: m.todo_addendum },
  incomplete: { what: m.err_incomplete, todo: m.todo_correct },
  reason_required: { what: m.err_reason_required, todo: m.todo_correct },
  signature_invalid: { what: m.err_signature_invalid, todo: m.todo_report },
  already_settled: { what: m.err_already_settled, todo: m.todo_reload },
  conflict_open: { what: m.err_conflict_open, todo: m.todo_settle_first },
  slot_taken: { what: m.err_slot_taken, todo: m.todo_other_time },
  document_failed: { what: m.err_document_failed, todo: m.todo_try_again },
  not_published: { what: m.err_not_published, todo: m.todo_publish },
  already_published: { what: m.err_already_published, todo: m.todo_reload },
  offline: { what: m.err_offline, todo: m.todo_keep_working },
  service_busy: { what: m.err_service_busy, todo: m.todo_keep_working },
  service_storage: { what: m.err_service_storage, todo: m.todo_keep_working },
  service_failed: { what: m.err_service_failed, todo: m.todo_keep_working },
  insecure_address: { what: m.err_insecure_address, todo: m.todo_https },
  pin_mismatch: { what: m.err_pin_mismatch, todo: m.todo_ask_admin },
  setup_code_refused: { what: m.err_setup_code_refused, todo: m.todo_setup_code },
  code_malformed: { what: m.err_code_malformed, todo: m.todo_copy_code },
  code_expired: { what: m.err_code_expired, todo: m.todo_new_code },
  code_used: { what: m.err_code_used, todo: m.todo_new_code },
  code_refused: { what: m.err_code_refused, todo: m.todo_new_code },
  not_vouched_for: { what: m.err_not_vouched_for, todo: m.todo_owner_shares },
  foreign_practice: { what: m.err_foreign_practice, todo: m.todo_ask_admin },
  device_revoked: { what: m.err_device_revoked, todo: m.todo_ask_admin },
  sign_in_refused: { what: m.err_sign_in_refused, todo: m.todo_ask_admin },
  clock_skewed: { what: m.err_clock_skewed, todo: m.todo_set_clock },
  upgrade_required: { what: m.err_upgrade_required, todo: m.todo_update },
  too_large: { what: m.err_too_large, todo: m.todo_shorten },
  internal: { what: m.err_internal, todo: m.todo_report },
  no_answer: { what: m.err_no_answer, todo: m.todo_try_again },
};

export const problemWords: Record<FieldProblem, () => string> = {
  required: m.problem_required,
  too_short: m.problem_too_short,
  too_long: m.problem_too_long,
  malformed: m.problem_malformed,
  not_a_date: m.problem_not_a_date,
  not_a_time: m.problem_not_a_time,
  no_such_time: m.problem_no_such_time,
  unknown_zone: m.problem_unknown_zone,
  unknown_currency: m.problem_unknown_currency,
  unknown_reference: m.problem_unknown_reference,
  out_of_range: m.problem_out_of_range,
  in_the_past: m.problem_in_the_past,
  in_the_future: m.problem_in_the_future,
  mismatch: m.problem_mismatch,
};

/** Words for a code that this window does not know, so that a newer program still gets an honest answer. */
export function wordsFor(code: string): ErrorWords {
  return (errorWords as Record<string, ErrorWords>)[code] ?? errorWords.internal;
}
