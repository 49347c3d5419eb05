//! Bad input at the edge of the programs: each has a code, and nothing is lost or half done.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caseload_tests::computer::{Computer, Refusal, refusal, text_at};
use caseload_tests::processes::Running;
use caseload_tests::service::Service;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn therapist(folder: &Path) -> Result<Computer> {
    let computer = Computer::new(folder, "therapist", "harbour lantern velvet quill")?;
    computer.run(&[
        "create",
        "--practice",
        "Practice",
        "--zone",
        "Europe/Berlin",
        "--name",
        "Therapist",
    ])?;
    Ok(computer)
}

/// The refusal, as a code and what it says of the first field.
fn short(refusal: &Refusal) -> [&str; 2] {
    [&refusal.code, refusal.fields.first().map_or("", String::as_str)]
}

#[test]
fn a_first_run_with_bad_input_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let weak = Computer::new(folder.path(), "weak", "short")?;
    let strong = Computer::new(folder.path(), "strong", "harbour lantern velvet quill")?;
    let create = |zone: &'static str, currency: &'static str| {
        [
            "create",
            "--practice",
            "Practice",
            "--name",
            "Therapist",
            "--zone",
            zone,
            "--currency",
            currency,
        ]
    };
    for (computer, zone, currency, field) in [
        (&strong, "Mars/Olympus", "EUR", "zone: unknown_zone"),
        (&strong, "", "EUR", "zone: unknown_zone"),
        (&strong, "Europe/Berlin", "XXX", "currency: unknown_currency"),
        (&weak, "Europe/Berlin", "EUR", "passphrase: too_short"),
    ] {
        let refusal = computer.refused(&create(zone, currency))?;
        ensure!(
            short(&refusal) == ["invalid_fields", field] && !refusal.retry,
            "{zone} {currency}: {refusal:?}"
        );
        let left: Vec<_> = computer
            .files()?
            .into_keys()
            .filter(|file| !file.ends_with("profile.lock"))
            .collect();
        ensure!(left.is_empty(), "{zone} {currency} left {left:?}");
    }
    strong.run(&create("Europe/Berlin", "EUR"))?;
    ensure!(strong.refused(&create("Europe/Berlin", "EUR"))?.code == "practice_exists");
    Ok(())
}

#[test]
fn a_booking_with_bad_input_is_refused_and_the_calendar_stays_as_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let computer = therapist(folder.path())?;
    let client = text_at(
        &computer.run(&["clients", "add", "--family", "Berg", "--given", "Ada"])?,
        "/client/id",
    )?;
    let book = |date: &'static str, time: &'static str, minutes: &'static str| {
        [
            "appointments",
            "book",
            &client,
            "--date",
            date,
            "--time",
            time,
            "--minutes",
            minutes,
        ]
        .map(str::to_owned)
    };
    let refused = |command: &[String]| computer.refused(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let done = |command: &[String]| computer.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
    done(&book("2031-05-12", "09:00", "50"))?;
    let calendar = || computer.run(&["appointments", "list", "--from", "2031-02-24", "--days", "42"]);
    let week = ["appointments", "list", "--from", "2031-05-12"];
    let before = (calendar()?["columns"].clone(), computer.run(&week)?["columns"].clone());
    for (date, time, minutes, problem) in [
        ("2031-02-30", "09:00", "50", ["invalid_fields", "date: not_a_date"]),
        ("30.02.2031", "09:00", "50", ["invalid_fields", "date: not_a_date"]),
        ("2031-03-03", "24:30", "50", ["invalid_fields", "startTime: not_a_time"]),
        // The clocks of Berlin go from 02:00 to 03:00 on that day.
        (
            "2031-03-30",
            "02:30",
            "50",
            ["invalid_fields", "startTime: no_such_time"],
        ),
        (
            "2031-03-03",
            "09:00",
            "0",
            ["invalid_fields", "durationMinutes: out_of_range"],
        ),
        ("2031-05-12", "09:49", "50", ["slot_taken", ""]),
    ] {
        let refusal = refused(&book(date, time, minutes))?;
        ensure!(
            short(&refusal) == problem && !refusal.retry,
            "{date} {time} {minutes}: {refusal:?}"
        );
    }
    let backwards = computer.output(&[
        "appointments",
        "book",
        &client,
        "--date",
        "2031-05-12",
        "--time",
        "09:00",
        "--minutes=-50",
    ])?;
    ensure!(
        backwards.status.code() == Some(2),
        "an end before the start cannot be typed"
    );
    let reason = [
        &book("2031-05-12", "09:49", "50")[..],
        &["--override-reason".to_owned(), " ".to_owned()],
    ]
    .concat();
    ensure!(refused(&reason)?.code == "reason_required");
    ensure!(
        (calendar()?["columns"].clone(), computer.run(&week)?["columns"].clone()) == before,
        "nothing was booked"
    );
    done(&book("2031-05-12", "09:50", "50"))?;
    Ok(())
}

#[test]
fn a_wrong_passphrase_changes_no_byte_of_the_record_and_its_keys() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let computer = therapist(folder.path())?;
    computer.run(&["clients", "add", "--family", "Berg", "--given", "Ada"])?;
    // That somebody tried is noted beside the record.
    let record = || {
        let mut files = computer.files()?;
        files.retain(|path, _| {
            !path.ends_with("attempts.json") && path.components().all(|part| part.as_os_str() != "logs")
        });
        anyhow::Ok(files)
    };
    let before = record()?;
    ensure!(
        before.len() >= 4,
        "two databases and two slot files: {:?}",
        before.keys()
    );
    for wrong in ["harbour lantern velvet quilt", ""] {
        let output = computer
            .command(&["clients", "list"])?
            .env("CASELOAD_PASSPHRASE", wrong)
            .output()?;
        ensure!(refusal(&output)?.code == "wrong_passphrase", "{wrong:?}");
    }
    ensure!(record()? == before, "every file is byte for byte the same");
    ensure!(computer.run(&["clients", "list"])?["total"] == 1, "and opens");
    Ok(())
}

#[test]
fn codes_are_used_once_and_for_their_own_practice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::new(&folder.path().join("service"), None)?.for_demonstration();
    service.start()?;
    let therapist = therapist(folder.path())?;
    let (address, code) = (service.address(), service.setup_code()?);
    ensure!(therapist.refused(&["sync"])?.code == "not_published");
    ensure!(
        therapist
            .refused(&["enrol", "--role", "front-desk", "--name", "Desk"])?
            .code
            == "not_published"
    );
    let wrong = therapist.refused(&["publish", "--address", &address, "--setup-code", "0000-0000-0000-0000"])?;
    ensure!(wrong.code == "setup_code_refused" && !wrong.retry, "{wrong:?}");
    ensure!(service.setup_code()? == code, "a wrong code uses nothing up");
    therapist.run(&["publish", "--address", &address, "--setup-code", &code])?;
    let again = therapist.refused(&["publish", "--address", &address, "--setup-code", &code])?;
    ensure!(again.code == "already_published", "{again:?}");

    let line = text_at(
        &therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?,
        "/code",
    )?;
    let newcomer = Computer::new(folder.path(), "newcomer", "saddle copper meadow friday")?;
    for (why, line, code) in [
        ("no code", "caseload1".to_owned(), "code_malformed"),
        ("a cut code", line[..line.len() - 9].to_owned(), "code_malformed"),
        ("another practice's code", of_another_practice(&line)?, "code_refused"),
    ] {
        let refusal = newcomer.refused(&["join", &line, "--name", "Desk"])?;
        ensure!(refusal.code == code && !refusal.retry, "{why}: {refusal:?}");
    }
    let exists = therapist.refused(&["join", &line, "--name", "Desk"])?;
    ensure!(exists.code == "practice_exists", "{exists:?}");
    newcomer.run(&["join", &line, "--name", "Desk"])?;
    let late = Computer::new(folder.path(), "late", "saddle copper meadow monday")?;
    let used = late.refused(&["join", &line, "--name", "Late"])?;
    ensure!(used.code == "code_refused" && !used.retry, "{used:?}");
    let left: Vec<_> = late
        .files()?
        .into_keys()
        .filter(|file| !file.ends_with("profile.lock"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    let forbidden = newcomer.refused(&["enrol", "--role", "admin", "--name", "Friend"])?;
    ensure!(
        forbidden.code == "forbidden",
        "a front desk brings nobody in: {forbidden:?}"
    );
    therapist.run(&["sync"])?;
    service.stop()
}

#[test]
fn the_service_answers_what_it_cannot_read_with_a_code() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::new(&folder.path().join("service"), None)?.for_demonstration();
    service.start()?;
    let code = service.setup_code()?;
    let not_text: &[u8] = b"{\"practice\":\"\xff\xfe\"}";
    let large = vec![b' '; (64 << 10) + 1];
    let (challenge, push) = ("/v1/auth/challenge", "/v1/sync/push");
    for (why, path, token, body, status, code) in [
        ("not UTF-8", challenge, None, not_text, 400, "malformed"),
        ("no JSON", challenge, None, b"practice=1".as_slice(), 400, "malformed"),
        ("nothing", challenge, None, b"", 400, "malformed"),
        ("too large", challenge, None, &large, 413, "too_large"),
        ("no token", push, None, b"{}", 401, "auth_expired"),
        ("a bad token", push, Some("x"), b"{}", 401, "auth_expired"),
        (
            "a made-up token",
            push,
            Some("0190c1de-0000-7000-8000-000000000000.AAAA"),
            b"{}",
            401,
            "auth_expired",
        ),
        ("no such address", "/v1/sync/steal", None, b"{}", 404, "not_found"),
    ] {
        let mut request = ureq::post(format!("{}{path}", service.address()))
            .config()
            .http_status_as_error(false)
            .build();
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.send(body).with_context(|| why.to_owned())?;
        let said: Value = serde_json::from_str(&answer.body_mut().read_to_string()?).with_context(|| why.to_owned())?;
        ensure!(
            answer.status() == status && said["error"]["code"] == code,
            "{why}: {} {said}",
            answer.status()
        );
    }
    ensure!(service.setup_code()? == code, "nothing was used up");
    service.stop()
}

#[test]
fn a_second_program_on_one_profile_is_refused_and_the_first_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let computer = therapist(folder.path())?;
    // The first program has the profile and waits for its passphrase, which comes from a pipe.
    let pipe = folder.path().join("passphrase");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let mut command = computer.command(&["--passphrase-file", &pipe.to_string_lossy(), "staff"])?;
    let mut first = Running::start("the first program", command.stdout(Stdio::piped()))?;
    let (sender, receiver) = mpsc::channel();
    // Opening the pipe returns when the first program has come to read it.
    thread::spawn(move || sender.send(File::options().write(true).open(pipe)));
    let mut writer = receiver
        .recv_timeout(LIMIT)
        .context("the first program does not ask for a passphrase")??;
    for command in [&["status"][..], &["clients", "list"]] {
        let refusal = computer.refused(command)?;
        ensure!(refusal.code == "profile_in_use" && refusal.retry, "{refusal:?}");
    }
    writeln!(writer, "{}", computer.passphrase())?;
    drop(writer);
    let status = first.child().wait()?;
    ensure!(status.success(), "the first program ended with {status}");
    computer.run(&["status"])?;
    Ok(())
}

/// The same line with another practice in it.
fn of_another_practice(line: &str) -> Result<String> {
    let (prefix, encoded) = line.split_once(':').context("a line has a prefix")?;
    let mut form: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded)?)?;
    ensure!(form["p"].is_string(), "a line names its practice");
    form["p"] = json!("0190c1de-0000-7000-8000-000000000000");
    Ok(format!("{prefix}:{}", URL_SAFE_NO_PAD.encode(form.to_string())))
}

#[test]
fn an_unreadable_file_is_no_note() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let anybody = Computer::new(folder.path(), "anybody", "")?;
    let file = folder.path().join("note.json");
    for content in [&b""[..], b"\xff\xfe", b"[]", b"{\"format\":\"something\"}"] {
        fs::write(&file, content)?;
        let refusal = anybody.refused(&["verify", &file.to_string_lossy()])?;
        ensure!(refusal.code == "invalid_request", "{content:?}: {refusal:?}");
    }
    fs::write(&file, br#"{"format":"caseload/note-export/v9"}"#)?;
    ensure!(anybody.refused(&["verify", &file.to_string_lossy()])?.code == "upgrade_required");
    Ok(())
}
