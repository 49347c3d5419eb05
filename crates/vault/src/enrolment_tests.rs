#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::seal::OpenError;
use uuid::Uuid;

fn code() -> EnrolmentCode {
    EnrolmentCode::from_halves([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [20; 16])
}

fn practice() -> PracticeId {
    PracticeId::new(Uuid::from_u128(1))
}

fn invitation() -> Invitation {
    Invitation {
        address: "https://10.0.0.5:8443".into(),
        practice: practice(),
        pin: Some(TlsPin::of_spki(b"spki")),
        user: UserId::new(Uuid::from_u128(2)),
        practice_root: SigningKey::from_seed(&[1; 32]).public(),
        code: code(),
    }
}

fn parcel(keys: Option<PortableKeys>) -> Parcel {
    let practice_root = SigningKey::from_seed(&[0x55; 32]).public();
    Parcel {
        user: UserId::new(Uuid::from_u128(2)),
        practice_root,
        keys,
    }
}

fn same(a: &Invitation, b: &Invitation) -> bool {
    (&a.address, a.practice, a.pin, a.user, a.practice_root) == (&b.address, b.practice, b.pin, b.user, b.practice_root)
        && *a.code.text() == *b.code.text()
}

#[test]
fn the_typed_form_is_frozen_because_both_ends_may_run_different_versions() {
    assert_eq!(
        code().text().as_str(),
        "0410-6105-0R3G-G28A-2GA1-850M-2GA1-850M-2GA1-850M-2K5V"
    );
    assert_eq!(
        code().signing_key().public().to_string(),
        "9ZqRO8XTa4OdJRmZ0gl3NqBmBqU2jS2_56ZIqDk6Uc0"
    );
    assert_eq!(
        text::base64url(code().parcel_key().expose()),
        "_8LkA0jQlX9LEDYOUAEraQP4jHaxWCHlzDBhYgj4b1g"
    );
    let read = EnrolmentCode::parse(&code().text().to_lowercase()).unwrap();
    assert_eq!((read.id, *read.key), (code().id, *code().key));
}

#[test]
fn a_recovery_code_or_a_part_is_no_enrolment_code() {
    assert_eq!(
        EnrolmentCode::parse("ABCD").map(drop),
        Err(CodeError::Length { expected: 44, found: 4 })
    );
    let mut typed = code().text().to_string();
    typed.replace_range(0..1, "Z");
    assert_eq!(EnrolmentCode::parse(&typed).map(drop), Err(CodeError::Check));
}

#[test]
fn the_line_is_frozen_because_both_ends_may_run_different_versions() {
    let line = invitation().line().unwrap();
    let (prefix, encoded) = line.split_once(':').unwrap();
    assert_eq!(prefix, "caseload1");
    assert_eq!(
        String::from_utf8(text::from_base64url(encoded).unwrap()).unwrap(),
        r#"{"a":"https://10.0.0.5:8443","i":"AQIDBAUGBwgJCg","k":"b-7MjBbFVR2f6z61934tp3O_aL2e-cUpJ86yyG5WiSs","p":"00000000-0000-0000-0000-000000000001","r":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w","s":"FBQUFBQUFBQUFBQUFBQUFA","u":"00000000-0000-0000-0000-000000000002"}"#
    );
}

#[test]
fn a_line_reads_back_with_the_breaks_that_mail_adds() {
    for invitation in [
        invitation(),
        Invitation {
            pin: None,
            ..invitation()
        },
    ] {
        let line = invitation.line().unwrap();
        let wrapped = format!("  {}\r\n {}\n", &line[..50], &line[50..]);
        assert!(same(&Invitation::parse(&wrapped).unwrap(), &invitation));
    }
}

#[test]
fn members_of_a_later_version_do_not_disturb() {
    let json = r#"{"a":"https://x.example","i":"AQIDBAUGBwgJCg","p":"00000000-0000-0000-0000-000000000001","r":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w","s":"FBQUFBQUFBQUFBQUFBQUFA","u":"00000000-0000-0000-0000-000000000002","z":1}"#;
    let line = format!("caseload1:{}", text::base64url(json.as_bytes()));
    let read = Invitation::parse(&line).unwrap();
    assert!(same(
        &read,
        &Invitation {
            address: "https://x.example".into(),
            pin: None,
            ..invitation()
        }
    ));
}

#[test]
fn lines_that_are_no_invitations_give_typed_errors() {
    let encode = |json: &str| format!("caseload1:{}", text::base64url(json.as_bytes()));
    let line = invitation().line().unwrap().to_string();
    for (line, error) in [
        (String::new(), InvitationError::NotAnInvitation),
        ("hello".into(), InvitationError::NotAnInvitation),
        ("caseload:x".into(), InvitationError::NotAnInvitation),
        ("caseload0:x".into(), InvitationError::NotAnInvitation),
        ("caseload2:whatever".into(), InvitationError::Newer),
        ("caseload1:".into(), InvitationError::Damaged),
        ("caseload1:***".into(), InvitationError::Damaged),
        (line[..line.len() - 5].into(), InvitationError::Damaged),
        (encode("{}"), InvitationError::Damaged),
        (encode("[]"), InvitationError::Damaged),
        ("caseload1:_w".into(), InvitationError::Damaged),
    ] {
        assert_eq!(Invitation::parse(&line).map(drop), Err(error), "{line}");
    }
}

#[test]
fn addresses_are_encrypted_or_on_this_machine() {
    for address in [
        "https://clinic.example",
        "https://10.0.0.5:8443",
        "https://[fd00::1]:8443",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:80",
    ] {
        assert_eq!(check_address(address), Ok(()), "{address}");
    }
    for address in [
        "http://10.0.0.5",
        "http://localhost.example",
        "http://clinic.example:80",
        "http://[fd00::1]",
    ] {
        assert_eq!(check_address(address), Err(InvitationError::PlainHttp), "{address}");
        let invitation = Invitation {
            address: address.into(),
            ..invitation()
        };
        assert_eq!(
            invitation.line().map(drop),
            Err(InvitationError::PlainHttp),
            "none is handed out either"
        );
    }
    for address in [
        "",
        "clinic",
        "ftp://x",
        "https://",
        "https://a/b",
        "https://u@h",
        "https://h:0",
        "https://h:99999",
        "https://h:+1",
        "https://[::1",
        "https://[x]",
        "https://h?x",
    ] {
        assert_eq!(check_address(address), Err(InvitationError::Address), "{address}");
    }
}

#[test]
fn a_parcel_opens_for_this_code_and_this_practice_only() {
    let keys = crate::bundle::tests::portable();
    let blob = code().seal_parcel(practice(), &parcel(Some(keys.clone())));
    let opened = code().open_parcel(practice(), &blob).unwrap();
    assert_eq!(*opened.keys.unwrap().to_bytes(), *keys.to_bytes());
    let wrong = Some(BundleError::Sealed(OpenError::WrongKey));
    assert_eq!(
        code().open_parcel(PracticeId::new(Uuid::from_u128(9)), &blob).err(),
        wrong
    );
    assert_eq!(
        EnrolmentCode::from_halves([1, 2, 3, 4, 5, 6, 7, 8, 9, 11], [20; 16])
            .open_parcel(practice(), &blob)
            .err(),
        wrong
    );
    assert_eq!(
        EnrolmentCode::from_halves(code().id.0, [21; 16])
            .open_parcel(practice(), &blob)
            .err(),
        wrong
    );
}

#[test]
fn an_administrators_parcel_carries_no_keys() {
    let blob = code().seal_parcel(practice(), &parcel(None));
    let opened = code().open_parcel(practice(), &blob).unwrap();
    assert!(opened.keys.is_none());
    assert_eq!(
        (opened.user, opened.practice_root),
        (parcel(None).user, parcel(None).practice_root)
    );
}

#[test]
fn the_parcel_is_frozen_because_both_ends_may_run_different_versions() {
    assert_eq!(
        text::base64url(&parcel(None).to_bytes()),
        "AQAAAAAAAAAAAAAAAAAAAALGgiY3x9MQ7Fdie-ALolnSU3SfSq9kRHDP--U6NfcyQg"
    );
    let bytes = parcel(Some(crate::bundle::tests::portable())).to_bytes();
    for length in 0..bytes.len() {
        assert_eq!(
            Parcel::from_bytes(&bytes[..length]).is_ok(),
            length == 49,
            "cut at {length}; 49 bytes are a parcel without keys"
        );
    }
    let mut changed = bytes.clone();
    changed[0] = 2;
    assert_eq!(Parcel::from_bytes(&changed).err(), Some(BundleError::NewerVersion(2)));
    changed[0] = 0;
    assert_eq!(Parcel::from_bytes(&changed).err(), Some(BundleError::Malformed));
    let mut other_root = parcel(Some(crate::bundle::tests::portable()));
    other_root.practice_root = PublicKey([9; 32]);
    assert_eq!(
        Parcel::from_bytes(&other_root.to_bytes()).err(),
        Some(BundleError::Malformed)
    );
}
