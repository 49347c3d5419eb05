//! Every command of the window, declared once: the shell, the test bridge and the checks of both are made from this list.
//!
//! This file holds nothing else and names no type by itself, so that a build script can read it without building the crate.

/// Calls the macro `$then` with every command, one row each: `kind name(Request) -> Answer;`.
///
/// `blocking` names a plain method of `App`, which is called away from the threads that wait for the network; `waiting` an
/// async one. The types are those of `dto`, which has to be in scope where the rows are used as types.
#[macro_export]
macro_rules! commands {
    ($then:ident) => {
        $then! {
            blocking status() -> Status;
            blocking create_practice(CreatePractice) -> RecoveryKit;
            blocking recovery_kit() -> RecoveryKit;
            blocking recovery_pdf() -> SavedFile;
            blocking confirm_recovery(ConfirmRecovery) -> Status;
            blocking unlock(Unlock) -> Status;
            blocking recover(Recover) -> Status;
            blocking renew_recovery_code() -> Status;
            waiting lock() -> Status;
            blocking heartbeat(Heartbeat) -> HeartbeatAnswer;
            waiting join(Join) -> Status;
            blocking keyring() -> KeyringState;
            blocking set_keyring(SetKeyring) -> KeyringState;
            blocking preferences() -> Preferences;
            blocking set_preferences(Preferences) -> Preferences;
            blocking practice() -> Practice;
            blocking save_location(SaveLocation) -> Practice;
            blocking staff() -> Vec<StaffMember>;
            waiting publish(Publish) -> SyncOverview;
            waiting mint_enrolment(MintEnrolment) -> Enrolment;
            blocking computers() -> Vec<Computer>;
            waiting revoke_computer(ById) -> Vec<Computer>;
            blocking today(TodayRequest) -> Today;
            blocking calendar(CalendarRequest) -> Calendar;
            blocking appointment(ById) -> AppointmentDetail;
            blocking book(Book) -> BookOutcome;
            blocking move_appointment(MoveAppointment) -> BookOutcome;
            blocking set_status(SetStatus) -> AppointmentDetail;
            blocking search_clients(SearchClients) -> ClientList;
            blocking client(ById) -> ClientRecord;
            blocking create_client(CreateClient) -> CreateClientOutcome;
            blocking update_client(UpdateClient) -> ClientRecord;
            blocking save_related_person(SaveRelatedPerson) -> ClientRecord;
            blocking grant_care(GrantCare) -> ClientRecord;
            blocking end_care(EndCare) -> ClientRecord;
            blocking save_chart(SaveChart) -> ClientRecord;
            blocking notes(NotesRequest) -> Vec<NoteSummary>;
            blocking note(ById) -> Note;
            blocking create_note(CreateNote) -> Note;
            blocking autosave_note(AutosaveNote) -> NoteSaved;
            blocking sign_note(ById) -> Note;
            blocking add_addendum(AddAddendum) -> Note;
            blocking mark_entered_in_error(ByIdWithReason) -> Note;
            blocking verify_note(ById) -> NoteVerification;
            blocking prescriptions(ByClient) -> Vec<PrescriptionSummary>;
            blocking prescription(ById) -> Prescription;
            blocking save_prescription(SavePrescription) -> Prescription;
            blocking issue_prescription(ById) -> Prescription;
            blocking prescription_pdf(PrintRequest) -> SavedFile;
            blocking stop_prescription(ByIdWithReason) -> Prescription;
            blocking void_prescription(ByIdWithReason) -> Prescription;
            blocking reissue_prescription(ById) -> Prescription;
            blocking sync_overview() -> SyncOverview;
            waiting share_now() -> SyncOverview;
            waiting retry_refused(ById) -> SyncOverview;
            blocking discard_refused(ById) -> SyncOverview;
            blocking conflicts() -> Vec<Conflict>;
            blocking settle_conflict(SettleConflict) -> Vec<Conflict>;
            blocking clashes() -> Vec<Clash>;
            blocking settle_clash(SettleClash) -> Vec<Clash>;
            blocking reoffers() -> Vec<Reoffer>;
            blocking settle_reoffer(SettleReoffer) -> Vec<Reoffer>;
            blocking accept_missing_reoffers() -> Vec<Reoffer>;
            waiting checksum() -> Checksum;
        }
    };
}
