//! The client as the office sees them, the people around them, and their clinical chart.

use super::Checks;
use crate::document::Document;
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `number{value, former}`, `name{family, given, preferred, romanised, legal}`, `birth{date, sex}`, `phone{raw, e164}`,
/// `other_phone{raw, e164}`, `email{value}`, `address{lines, city, region, postcode, country}`, `pronouns{value}`, `contact_permission{voicemail, sms}`, `insurance{...}`, `alert{text}`,
/// `preferences{...}`, `tags{id: {label}}`, `status{state, reason}`.
///
/// Telephone, e-mail and address are units of their own: a desk that corrects a digit must not undo a therapist's new address.
/// Permission to leave messages is one unit, because half of it is wrong.
pub(super) const CLIENT: EntityType = EntityType {
    kind: "client",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "number",
            Policy::Service,
            "Two desks offline must not give out one number twice; the service confirms the proposed one or gives the next.",
        ),
        Unit::new(
            "name",
            Policy::KeepBoth,
            "Given, family and legal name belong to one person: half a correction from each desk would name somebody else.",
        ),
        Unit::new(
            "birth",
            Policy::KeepBoth,
            "Date of birth and sex identify the person together; two corrections are looked at, not mixed.",
        ),
        Unit::new(
            "phone",
            Policy::KeepBoth,
            "A reminder must not go to a number that one desk had already corrected; both are shown until somebody asks the client.",
        ),
        Unit::new(
            "other_phone",
            Policy::KeepBoth,
            "As the first number: a wrong one tells a stranger that someone is in treatment.",
        ),
        Unit::new(
            "email",
            Policy::KeepBoth,
            "As the telephone: a program cannot know which address the client still reads.",
        ),
        Unit::new(
            "address",
            Policy::KeepBoth,
            "Street, city and code belong together; the lines of two addresses mixed are a place where nobody lives.",
        ),
        Unit::new(
            "pronouns",
            Policy::KeepBoth,
            "How a person wants to be addressed is theirs to say; two answers are a question for them.",
        ),
        Unit::new(
            "contact_permission",
            Policy::KeepBoth,
            "Permission to leave a message is one decision; half of it may put a client at risk at home.",
        ),
        Unit::new(
            "insurance",
            Policy::KeepBoth,
            "Carrier, number, group and validity are read from one card; a mixture is refused by every payer.",
        ),
        Unit::new(
            "alert",
            Policy::KeepBoth,
            "A warning that the desk must see is never replaced by another one unseen.",
        ),
        Unit::new(
            "preferences",
            Policy::KeepBoth,
            "Wishes are short texts of one person's hand; joining them is for whoever knows the client.",
        ),
        Unit::new(
            "consents",
            Policy::Set,
            "Each consent stands alone; one that was recorded is not lost because another was recorded elsewhere.",
        ),
        Unit::new(
            "tags",
            Policy::Set,
            "Labels only sort; two people's labels simply add up.",
        ),
        Unit::new(
            "status",
            Policy::State(status_next),
            "A file that was closed here and worked on there is decided by what may follow its present state.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .also(|document, checks| {
                let family = document.text("name", "family").unwrap_or_default();
                let given = document.text("name", "given").unwrap_or_default();
                if family.trim().is_empty() && given.trim().is_empty() {
                    checks.report("name.family", crate::Problem::Required);
                }
            })
            .texts("name")
            .texts("phone")
            .texts("other_phone")
            .texts("address")
            .texts("alert")
            .optional_date("birth", "date")
            .state("status", &["active", "closed"])
            .finish()
    },
};

fn status_next(state: &str) -> &'static [&'static str] {
    match state {
        "active" => &["closed"],
        "closed" => &["active"],
        _ => &[],
    }
}

/// `of{client}`, `name{display}`, `relation{kind, authority, may_be_told}`, `phone{raw, e164}`, `priority{order}`.
pub(super) const RELATED_PERSON: EntityType = EntityType {
    kind: "related_person",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "of",
            Policy::Immutable,
            "A guardian or partner belongs to one client; another client's is another entry.",
        ),
        Unit::new("name", Policy::KeepBoth, "One person's name is corrected as a whole."),
        Unit::new(
            "relation",
            Policy::KeepBoth,
            "What someone is to the client and what they may be told is one decision with legal weight.",
        ),
        Unit::new(
            "phone",
            Policy::KeepBoth,
            "The wrong number may reach the very person who must not be told.",
        ),
        Unit::new(
            "priority",
            Policy::KeepBoth,
            "Whom to call first is one ranking; two rankings are compared by a person.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("of", "client")
            .line("name", "display")
            .line("relation", "kind")
            .finish()
    },
};

/// Clinical. Its id is the client's, so that two clinicians write one chart. `subject{client}`, `allergies{id: {substance, reaction}}`,
/// `medications{id: {...}}`, `risk{level, assessed_on, note}`, `safety_plan{text}`, `history{text}`, `intake{...}`.
///
/// Allergies only ever add up: an allergy removed here and edited there stays.
pub(super) const CLIENT_CHART: EntityType = EntityType {
    kind: "client_chart",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Clinicians,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "subject",
            Policy::Immutable,
            "Whose record a thing belongs to is fixed when it is made; a mistake is voided or marked as an error, never re-addressed.",
        ),
        Unit::new(
            "allergies",
            Policy::Set,
            "Allergies add up: one removed here and described there stays, because a missing allergy harms and a doubtful one is asked about.",
        ),
        Unit::new(
            "medications",
            Policy::Set,
            "What two clinicians heard about is all worth knowing; the same medicine described twice is compared by a person.",
        ),
        Unit::new(
            "risk",
            Policy::KeepBoth,
            "Level, date and note are one assessment; a level from one clinician under another's reasoning was never made by anybody.",
        ),
        Unit::new(
            "safety_plan",
            Policy::KeepBoth,
            "A plan is followed word for word in a crisis; no program writes it.",
        ),
        Unit::new(
            "history",
            Policy::KeepBoth,
            "Clinical text is joined by a clinician alone.",
        ),
        Unit::new(
            "intake",
            Policy::KeepBoth,
            "Answers were given in one conversation and are read together.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .texts("allergies")
            .texts("history")
            .texts("safety_plan")
            .optional_date("risk", "assessed_on")
            .finish()
    },
};
