#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::enrolment::EnrolmentCode;
use serde_json::json;
use uuid::Uuid;

fn practice() -> PracticeId {
    PracticeId::new(Uuid::from_u128(1))
}

fn user(n: u128) -> UserId {
    UserId::new(Uuid::from_u128(n))
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn root() -> SigningKey {
    key(1)
}

fn code() -> EnrolmentCode {
    EnrolmentCode::from_halves([4; 10], [5; 16])
}

fn admin(may_enrol: bool) -> Signed<AdminCertificate> {
    let certificate = AdminCertificate {
        practice: practice(),
        user: user(9),
        public_key: key(9).public(),
        may_enrol,
    };
    Signed::new(certificate, &root())
}

fn authorisation() -> Authorisation {
    Authorisation {
        practice: practice(),
        enrolment: code().id(),
        user: user(2),
        role: Role::Therapist,
        admin: false,
        enrolment_key: code().signing_key().public(),
        expires_at_ms: 1000,
    }
}

fn certificate() -> UserCertificate {
    UserCertificate {
        practice: practice(),
        user: user(2),
        role: Role::Therapist,
        user_key: key(2).public(),
        device: DeviceId::new(Uuid::from_u128(3)),
        device_key: key(3).public(),
        enrolment: Some(code().id()),
    }
}

fn by_root() -> Chain {
    chain(authorisation(), &root(), certificate())
}

fn chain(authorisation: Authorisation, authoriser: &SigningKey, certificate: UserCertificate) -> Chain {
    Chain {
        admin: None,
        sponsor: None,
        authorisation: Some(Signed::new(authorisation, authoriser)),
        user: Signed::new(certificate, &code().signing_key()),
    }
}

fn by_admin(may_enrol: bool) -> Chain {
    Chain {
        admin: Some(admin(may_enrol)),
        ..chain(authorisation(), &key(9), certificate())
    }
}

fn owner() -> Chain {
    Chain::of_owner(
        UserCertificate {
            enrolment: None,
            ..certificate()
        },
        &root(),
    )
}

fn own_next_device(first: &Chain) -> Chain {
    let certificate = UserCertificate {
        device: DeviceId::new(Uuid::from_u128(33)),
        device_key: key(33).public(),
        ..certificate()
    };
    Chain {
        sponsor: Some(first.as_sponsor()),
        ..chain(authorisation(), &key(2), certificate)
    }
}

fn verify(chain: &Chain) -> Result<VerifiedUser, ChainError> {
    verify_chain(&root().public(), chain, None)
}

#[test]
fn every_way_to_be_vouched_for_verifies() {
    let expected = VerifiedUser {
        practice: practice(),
        user: user(2),
        role: Role::Therapist,
        admin: false,
        user_key: key(2).public(),
        device: DeviceId::new(Uuid::from_u128(3)),
        device_key: key(3).public(),
    };
    assert_eq!(verify(&by_root()), Ok(expected.clone()));
    assert_eq!(verify(&by_admin(true)), Ok(expected.clone()));
    assert_eq!(
        verify(&owner()),
        Ok(VerifiedUser {
            admin: true,
            ..expected.clone()
        })
    );
    let next = VerifiedUser {
        device: DeviceId::new(Uuid::from_u128(33)),
        device_key: key(33).public(),
        ..expected
    };
    assert_eq!(verify(&own_next_device(&by_admin(true))), Ok(next.clone()));
    assert_eq!(
        verify(&own_next_device(&own_next_device(&by_root()))),
        Ok(next),
        "a third device leans on the first chain"
    );
}

#[test]
fn expiry_counts_only_for_whoever_states_a_time() {
    for chain in [by_root(), by_admin(true), own_next_device(&by_root())] {
        assert!(verify_chain(&root().public(), &chain, Some(999)).is_ok());
        assert_eq!(
            verify_chain(&root().public(), &chain, Some(1000)),
            Err(ChainError::Expired)
        );
        assert!(verify_chain(&root().public(), &chain, None).is_ok());
    }
    assert!(
        verify_chain(&root().public(), &owner(), Some(i64::MAX)).is_ok(),
        "the owner was not enrolled"
    );
    let mut sponsored = own_next_device(&by_root());
    sponsored.authorisation = Some(Signed::new(
        Authorisation {
            expires_at_ms: 5000,
            ..authorisation()
        },
        &key(2),
    ));
    assert!(
        verify_chain(&root().public(), &sponsored, Some(4000)).is_ok(),
        "that the first code has expired does not matter"
    );
}

#[test]
fn a_chain_that_does_not_hold_names_the_broken_link() {
    const ADMIN: ChainError = ChainError::Signature("caseload/admin-certificate/v1");
    const AUTHORISATION: ChainError = ChainError::Signature("caseload/authorisation/v1");
    const USER: ChainError = ChainError::Signature("caseload/user-certificate/v1");
    let other_practice = PracticeId::new(Uuid::from_u128(77));
    let foreign_admin = AdminCertificate {
        practice: other_practice,
        ..admin(true).statement().clone()
    };
    let cases: Vec<(&str, Chain, ChainError)> = vec![
        (
            "an authorisation by nobody entitled",
            chain(authorisation(), &key(8), certificate()),
            AUTHORISATION,
        ),
        ("an admin without the right", by_admin(false), ChainError::MayNotEnrol),
        (
            "an admin certificate not by the root",
            Chain {
                admin: Some(Signed::new(admin(true).statement().clone(), &key(9))),
                ..by_admin(true)
            },
            ADMIN,
        ),
        (
            "an admin of another practice",
            Chain {
                admin: Some(Signed::new(foreign_admin, &root())),
                ..by_admin(true)
            },
            ChainError::PracticeDiffers,
        ),
        (
            "the admin certificate left out",
            Chain {
                admin: None,
                ..by_admin(true)
            },
            AUTHORISATION,
        ),
        (
            "an admin's certificate beside the root's authorisation",
            Chain {
                admin: Some(admin(true)),
                ..by_root()
            },
            AUTHORISATION,
        ),
        (
            "a certificate not by the enrolment key",
            Chain {
                user: Signed::new(certificate(), &root()),
                ..by_root()
            },
            USER,
        ),
        (
            "an owner's certificate not by the root",
            Chain::of_owner(
                UserCertificate {
                    enrolment: None,
                    ..certificate()
                },
                &key(2),
            ),
            USER,
        ),
        (
            "an owner with an enrolment",
            Chain::of_owner(certificate(), &root()),
            ChainError::Shape,
        ),
        (
            "no authorisation but an admin",
            Chain {
                authorisation: None,
                ..by_admin(true)
            },
            ChainError::Shape,
        ),
        (
            "another practice",
            chain(
                authorisation(),
                &root(),
                UserCertificate {
                    practice: other_practice,
                    ..certificate()
                },
            ),
            ChainError::PracticeDiffers,
        ),
        (
            "another person",
            chain(
                authorisation(),
                &root(),
                UserCertificate {
                    user: user(5),
                    ..certificate()
                },
            ),
            ChainError::UserDiffers,
        ),
        (
            "another role",
            chain(
                authorisation(),
                &root(),
                UserCertificate {
                    role: Role::Admin,
                    ..certificate()
                },
            ),
            ChainError::RoleDiffers,
        ),
        (
            "another enrolment",
            chain(
                authorisation(),
                &root(),
                UserCertificate {
                    enrolment: None,
                    ..certificate()
                },
            ),
            ChainError::EnrolmentDiffers,
        ),
        (
            "both an admin and a sponsor",
            Chain {
                admin: Some(admin(true)),
                ..own_next_device(&by_root())
            },
            ChainError::Shape,
        ),
        (
            "a sponsor of a sponsor",
            Chain {
                sponsor: Some(Box::new(own_next_device(&by_root()))),
                ..own_next_device(&by_root())
            },
            ChainError::Shape,
        ),
    ];
    for (name, chain, error) in cases {
        assert_eq!(verify(&chain), Err(error), "{name}");
    }
    assert_eq!(
        verify_chain(&key(7).public(), &by_root(), None),
        Err(AUTHORISATION),
        "another practice's root"
    );
}

#[test]
fn a_person_hands_on_no_more_than_she_has() {
    let first = by_root();
    let sponsored = |authorisation: Authorisation, certificate: UserCertificate| {
        verify(&Chain {
            sponsor: Some(first.as_sponsor()),
            ..chain(authorisation, &key(2), certificate)
        })
        .unwrap_err()
    };
    let (a, c) = (authorisation(), certificate());
    assert_eq!(
        sponsored(
            Authorisation {
                admin: true,
                ..a.clone()
            },
            c.clone()
        ),
        ChainError::MoreThanSponsor
    );
    assert_eq!(
        sponsored(
            Authorisation {
                role: Role::Admin,
                ..a.clone()
            },
            UserCertificate {
                role: Role::Admin,
                ..c.clone()
            }
        ),
        ChainError::MoreThanSponsor
    );
    assert_eq!(
        sponsored(
            a.clone(),
            UserCertificate {
                user_key: key(6).public(),
                ..c.clone()
            }
        ),
        ChainError::MoreThanSponsor
    );
    assert_eq!(
        sponsored(
            Authorisation {
                user: user(6),
                ..a.clone()
            },
            UserCertificate {
                user: user(6),
                ..c.clone()
            }
        ),
        ChainError::UserDiffers
    );
}

#[test]
fn any_changed_member_breaks_the_signature_and_unknown_members_are_kept() {
    let json = serde_json::to_value(by_admin(true)).unwrap();
    for (part, members) in [("admin", 4), ("authorisation", 7), ("user", 7)] {
        let statement = json[part]["statement"].as_object().unwrap();
        assert_eq!(statement.len(), members + 1, "all members and the type");
        for (name, value) in statement.iter().filter(|(name, _)| *name != "type") {
            let mut changed = json.clone();
            changed[part]["statement"][name] = match value {
                Value::Bool(flag) => json!(!flag),
                Value::Number(_) => json!(1001),
                Value::String(text) if text == "therapist" => json!("front_desk"),
                Value::String(text) => json!(format!(
                    "{}{}",
                    if text.starts_with('A') { 'B' } else { 'A' },
                    &text[1..]
                )),
                other => panic!("unexpected {other}"),
            };
            if let Ok(chain) = serde_json::from_value::<Chain>(changed) {
                assert!(matches!(verify(&chain), Err(ChainError::Signature(_))), "{part}.{name}");
            }
        }
        let mut added = json.clone();
        added[part]["statement"]["x"] = json!(1);
        let chain: Chain = serde_json::from_value(added.clone()).unwrap();
        assert!(
            matches!(verify(&chain), Err(ChainError::Signature(_))),
            "an added member of {part} is covered too"
        );
        assert_eq!(serde_json::to_value(chain).unwrap(), added, "and it is handed on");
    }
}

#[test]
fn a_statement_of_one_type_cannot_pass_for_another() {
    let mut json = serde_json::to_value(by_root().user).unwrap();
    json["statement"]["type"] = json!("caseload/user-certificate/v2");
    assert!(serde_json::from_value::<Signed<UserCertificate>>(json.clone()).is_err());
    json["statement"].as_object_mut().unwrap().remove("type");
    assert!(serde_json::from_value::<Signed<UserCertificate>>(json).is_err());
}

#[test]
fn a_number_that_cannot_be_canonical_is_a_typed_error() {
    let mut json = serde_json::to_value(by_root()).unwrap();
    json["user"]["statement"]["x"] = json!(1.5);
    let chain: Chain = serde_json::from_value(json).unwrap();
    assert_eq!(verify(&chain), Err(ChainError::NotCanonical(CanonicalError::Float)));
}

/// The order of members on the wire is free; the canonical order is what is signed and compared.
fn canonical_text(chain: &Chain) -> String {
    String::from_utf8(canonical::to_bytes(&serde_json::to_value(chain).unwrap()).unwrap()).unwrap()
}

#[test]
fn the_json_forms_are_frozen_because_signatures_in_exports_must_verify_for_ever() {
    assert_eq!(
        canonical_text(&by_admin(true)),
        r#"{"admin":{"signature":"4wvZX6abGwdQQ0MgL0WUF6wARiovvmC22SHxfdK-pMMpxpRRYrxuJ9Dzg0Ki2TtcDfNlZJm8FtfTJYYRR3EFAw","statement":{"may_enrol":true,"practice":"00000000-0000-0000-0000-000000000001","public_key":"_RckOFqgx1tk-3jNYC-h2ZH96_drE8WO1wLqyDXp9hg","type":"caseload/admin-certificate/v1","user":"00000000-0000-0000-0000-000000000009"}},"authorisation":{"signature":"1iJ8lwQfAnL4fHyFCCmf0Q9koSVZfDkBqpNyVfm4VNh2yqdyVqK_O7xzYalSslN67oi1UPnQ3wkimOxX83AAAg","statement":{"admin":false,"enrolment":"BAQEBAQEBAQEBA","enrolment_key":"fsEFnhTaaVH1ZLDyLBDicAbSTuoHejN8kHr_PX8n_x0","expires_at_ms":1000,"practice":"00000000-0000-0000-0000-000000000001","role":"therapist","type":"caseload/authorisation/v1","user":"00000000-0000-0000-0000-000000000002"}},"user":{"signature":"egpV-0hyvzDkvCi7gjjziJzuBod9iI7NoS9xfz7Ur1pE0p8KyXRjKlA1J5n4RWdORjOQVmNijBNNDE2_LoiJDw","statement":{"device":"00000000-0000-0000-0000-000000000003","device_key":"7UkoxijRwsbq6QM4kFmVYSlZJzpcY_k2NsFGFKyHN9E","enrolment":"BAQEBAQEBAQEBA","practice":"00000000-0000-0000-0000-000000000001","role":"therapist","type":"caseload/user-certificate/v1","user":"00000000-0000-0000-0000-000000000002","user_key":"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q"}}}"#
    );
    assert_eq!(
        canonical_text(&owner()),
        r#"{"user":{"signature":"bIax079gBk6IaVrObEWVv_QpI8pM6sWgNUYcOGwAsSLTnhQWrIg1kOPVMraHMgWi8VrWCx8z6bpzIaUfC7kaBQ","statement":{"device":"00000000-0000-0000-0000-000000000003","device_key":"7UkoxijRwsbq6QM4kFmVYSlZJzpcY_k2NsFGFKyHN9E","enrolment":null,"practice":"00000000-0000-0000-0000-000000000001","role":"therapist","type":"caseload/user-certificate/v1","user":"00000000-0000-0000-0000-000000000002","user_key":"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q"}}}"#
    );
}
