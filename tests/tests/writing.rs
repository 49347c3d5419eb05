//! What is typed into the real window arrives once and stays: in Korean, when the window is closed, when the program is killed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use caseload_app::dto::*;
use caseload_app::{App, Env, Sharing};
use caseload_tests::desktop::{Desktop, Setup};
use serde_json::json;
use tempfile::TempDir;

const PASSPHRASE: &str = "heron lamp quince four";
const SHIFT: &str = "\u{e008}";
const CONTROL: &str = "\u{e009}";
const ENTER: &str = "\u{e007}";

/// A practice with one client, one draft and a window on it that is unlocked.
struct Practice {
    folder: TempDir,
    note: String,
    window: Desktop,
    recovery: String,
}

impl Practice {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (note, recovery) = furnish(&folder.path().join("profile"));
        let window = start(folder.path());
        let practice = Self {
            folder,
            note,
            window,
            recovery,
        };
        practice.unlock(PASSPHRASE);
        practice
    }

    fn unlock(&self, passphrase: &str) {
        self.window.fill("unlock-passphrase", passphrase).unwrap();
        self.window.click("unlock-submit").unwrap();
        self.window.gone("screen-unlock").unwrap();
    }

    /// Opens the window again after it has ended.
    fn again(self, end: impl FnOnce(Desktop)) -> Self {
        let Self {
            folder,
            note,
            window,
            recovery,
        } = self;
        end(window);
        let window = start(folder.path());
        let practice = Self {
            folder,
            note,
            window,
            recovery,
        };
        practice.unlock(PASSPHRASE);
        practice
    }

    fn open_note(&self) {
        self.window.go(&format!("/notes/{}", self.note)).unwrap();
        self.window.see("note-editor").unwrap();
    }

    fn saved(&self) {
        let saved = || {
            let state = self.window.attribute("note-saved-state", "data-saved")?;
            Ok((state.as_deref() == Some("true")).then_some(()))
        };
        self.window.until("the note to be saved", saved).unwrap();
    }
}

fn start(folder: &Path) -> Desktop {
    let setup = Setup {
        name: "window",
        folder,
        pictures: folder,
    };
    let window = Desktop::start(&setup, &[]).unwrap();
    window.see("screen-unlock").unwrap();
    window
}

fn quiet() -> Env {
    Env::system().sharing(Sharing::WhenAsked)
}

fn practice() -> CreatePractice {
    CreatePractice {
        practice_name: "Hill House".to_owned(),
        location_name: "Main".to_owned(),
        zone: "Asia/Seoul".to_owned(),
        currency: "KRW".to_owned(),
        full_name: "Mina Seo".to_owned(),
        licence: None,
        passphrase: PASSPHRASE.to_owned(),
        device_name: None,
    }
}

fn furnish(profile: &Path) -> (String, String) {
    let app = App::open_with(profile, quiet()).unwrap();
    let kit = app.create_practice(practice()).unwrap();
    let group = |index: &u32| RecoveryGroup {
        index: *index,
        text: kit.groups[*index as usize].clone(),
    };
    app.confirm_recovery(ConfirmRecovery {
        groups: kit.ask.iter().map(group).collect(),
    })
    .unwrap();
    let details = json!({
        "name": { "family": "김", "given": "서연", "preferred": "", "romanised": "" },
        "birthDate": null, "pronouns": "", "phone": "", "otherPhone": "", "email": "",
        "address": { "line1": "", "line2": "", "city": "", "region": "", "postcode": "", "country": "" },
        "voicemail": "not_asked", "sms": "not_asked", "officeAlert": "",
    });
    let created = app
        .create_client(CreateClient {
            details: serde_json::from_value(details).unwrap(),
            force: true,
        })
        .unwrap();
    let CreateClientOutcome::Created { client } = created else {
        panic!("a forced creation creates");
    };
    let note = app
        .create_note(CreateNote {
            client_id: client.id,
            appointment_id: None,
            template: NoteTemplate::Soap,
        })
        .unwrap();
    (note.summary.id, kit.groups.join("-"))
}

/// Composes in the focused field as an input method does, up to the given step: each text replaces the one before it.
const COMPOSE: &str = "const [steps, commit] = arguments;
    const field = document.activeElement;
    const fire = (type, data) => field.dispatchEvent(new CompositionEvent(type, { data, bubbles: true }));
    const start = field.selectionStart;
    let length = 0;
    fire('compositionstart', '');
    for (const step of steps) {
        fire('compositionupdate', step);
        field.setRangeText(step, start, start + length, 'end');
        length = step.length;
        field.dispatchEvent(new InputEvent('input', { data: step, inputType: 'insertCompositionText', isComposing: true, bubbles: true }));
    }
    for (const ctrlKey of [false, true])
        field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey, isComposing: true, bubbles: true, cancelable: true }));
    if (commit) fire('compositionend', steps.at(-1));
    return field.value";

fn compose(window: &Desktop, steps: &[&str], commit: bool) -> String {
    let value = window.run(COMPOSE, &[json!(steps), json!(commit)]).unwrap();
    value.as_str().unwrap().to_owned()
}

fn focus(window: &Desktop, control: &str) {
    window.see(control).unwrap();
    let script = "document.querySelector(arguments[0]).focus()";
    window
        .run(script, &[json!(format!("[data-testid={control}]"))])
        .unwrap();
}

#[test]
fn composed_text_is_neither_lost_nor_doubled_and_enter_only_ends_the_syllable() {
    let practice = Practice::open();
    let window = &practice.window;
    practice.open_note();
    focus(window, "note-section-subjective");
    compose(window, &["ㅈ", "자", "잠"], true);
    compose(window, &["ㅇ", "으", "을"], true);
    assert_eq!(compose(window, &["ㅈ", "자", "잘"], false), "잠을잘");
    assert!(
        !window.has("sign-dialog").unwrap(),
        "Ctrl+Enter inside a syllable signs nothing"
    );
    // The lock comes while a syllable is open: it is text all the same.
    window.click("lock").unwrap();
    window.see("screen-unlock").unwrap();
    practice.unlock(PASSPHRASE);
    practice.open_note();
    assert_eq!(window.value("note-section-subjective").unwrap(), "잠을잘");

    window.go("/clients").unwrap();
    focus(window, "clients-search");
    assert_eq!(compose(window, &["ㄱ", "기", "김"], false), "김");
    window.reads("client-row", |rows| rows.contains("김")).unwrap();
    assert!(
        window.has("screen-clients").unwrap(),
        "Enter inside a syllable opens nobody"
    );
    window
        .run(
            "document.activeElement.dispatchEvent(new CompositionEvent('compositionend', { data: '김' }))",
            &[],
        )
        .unwrap();
    window.press(&[ENTER]).unwrap();
    window.see("client-header").unwrap();
}

/// GTK's own input method takes a code point after Ctrl+Shift+U: a composition by the real one, as Korean is by another.
#[test]
fn a_composition_of_the_systems_input_method_is_shown_while_it_lasts() {
    let practice = Practice::open();
    let window = &practice.window;
    practice.open_note();
    focus(window, "note-section-plan");
    let listen = "window.__composed = [];
        for (const type of ['compositionstart', 'compositionupdate', 'compositionend'])
            document.activeElement.addEventListener(type, (event) => window.__composed.push([type, event.data]))";
    window.run(listen, &[]).unwrap();
    window.press(&[CONTROL, SHIFT, "u"]).unwrap();
    for key in ["a", "c", "0", "0"] {
        window.press(&[key]).unwrap();
    }
    window.press(&[ENTER]).unwrap();
    window.reads_value("note-section-plan", "가").unwrap();
    let events: Vec<(String, String)> =
        serde_json::from_value(window.run("return window.__composed", &[]).unwrap()).unwrap();
    assert_eq!(events.first().map(|(kind, _)| kind.as_str()), Some("compositionstart"));
    assert!(
        events
            .iter()
            .any(|(kind, shown)| kind == "compositionupdate" && shown.contains("ac")),
        "{events:?}"
    );
    practice.saved();
    let practice = practice.again(|window| window.close_by_the_cross().unwrap());
    practice.open_note();
    assert_eq!(practice.window.value("note-section-plan").unwrap(), "가");
}

#[test]
fn closing_the_window_saves_the_last_word_typed() {
    let practice = Practice::open();
    practice.open_note();
    practice
        .window
        .fill(
            "note-section-plan",
            "Breathing twice a day, and the last word is harbour",
        )
        .unwrap();
    let practice = practice.again(|window| window.close_by_the_cross().unwrap());
    practice.open_note();
    let text = practice.window.value("note-section-plan").unwrap();
    assert_eq!(text, "Breathing twice a day, and the last word is harbour");
}

#[test]
fn a_program_that_is_killed_while_a_person_types_keeps_everything_that_it_called_saved() {
    let mut practice = Practice::open();
    let mut text = String::new();
    for word in ["Slept ", "five ", "nights ", "of ", "seven. "] {
        practice.open_note();
        focus(&practice.window, "note-section-subjective");
        let end =
            "const field = document.activeElement; field.setSelectionRange(field.value.length, field.value.length)";
        practice.window.run(end, &[]).unwrap();
        type_on(&practice.window, word);
        practice.saved();
        text.push_str(word);
        // These keys come after what was called saved; whether they are kept is left to chance.
        type_on(&practice.window, "xy");
        practice = practice.again(|window| window.crash().unwrap());
        practice.open_note();
        let kept = practice.window.value_untrimmed("note-section-subjective").unwrap();
        assert!(kept.starts_with(&text), "{kept:?} does not begin with {text:?}");
        assert!(
            format!("{text}xy").starts_with(&kept),
            "{kept:?} holds more than was typed"
        );
        text = kept;
    }
}

fn type_on(window: &Desktop, text: &str) {
    for key in text.chars() {
        window.press(&[&key.to_string()]).unwrap();
    }
}

#[test]
fn a_forgotten_passphrase_is_replaced_with_the_paper() {
    let practice = Practice::open();
    let window = &practice.window;
    window.click("lock").unwrap();
    window.click("unlock-recover").unwrap();
    window.see("screen-recover").unwrap();
    let new = "willow stone harbour five";
    for (field, text) in [
        ("recover-code", practice.recovery.as_str()),
        ("recover-passphrase", new),
        ("recover-passphrase-again", new),
    ] {
        window.fill(field, text).unwrap();
    }
    window.click("recover-submit").unwrap();
    window.see("screen-today").unwrap();
    window.click("lock").unwrap();
    window.fill("unlock-passphrase", PASSPHRASE).unwrap();
    window.click("unlock-submit").unwrap();
    window.see("error").unwrap();
    assert_eq!(
        window.attribute("error", "data-code").unwrap().as_deref(),
        Some("wrong_passphrase")
    );
    practice.unlock(new);
}

#[test]
fn a_first_run_that_was_interrupted_shows_the_recovery_kit_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open_with(&folder.path().join("profile"), quiet()).unwrap();
    let first = app.create_practice(practice()).unwrap();
    // The program ends before anything was typed back.
    drop(app);
    let window = start(folder.path());
    window.fill("unlock-passphrase", PASSPHRASE).unwrap();
    window.click("unlock-submit").unwrap();
    window.see("recovery-groups").unwrap();
    window.go("/today").unwrap();
    assert!(window.has("screen-recovery").unwrap(), "there is no way past the kit");
    let script =
        "return [...document.querySelectorAll('[data-testid^=recovery-group-]')].map((each) => each.innerText.trim())";
    let shown: Vec<String> = serde_json::from_value(window.run(script, &[]).unwrap()).unwrap();
    assert_eq!(shown.len(), first.groups.len());
    assert_ne!(shown, first.groups, "the first paper may not exist");
}
