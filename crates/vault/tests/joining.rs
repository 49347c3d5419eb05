//! How people and computers come to a practice, from the public interface alone: what crosses between them is what a service would carry.

#![allow(clippy::unwrap_used, reason = "tests")]

use caseload_domain::{DeviceId, PracticeId, Role, UserId};
use caseload_vault::certificates::{
    AdminCertificate, Authorisation, Chain, ChainError, Signed, UserCertificate, VerifiedUser, verify_chain,
};
use caseload_vault::enrolment::{EnrolmentCode, Invitation, LIFETIME_MS, Parcel};
use caseload_vault::heads::DatabaseFile;
use caseload_vault::passphrase::{KdfParams, Passphrase};
use caseload_vault::vault::{Joining, NewUser};
use caseload_vault::{SigningKey, Unlocked, Vault};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;

struct Computer {
    vault: Vault<Unlocked>,
    chain: Chain,
    _folder: TempDir,
}

fn new_user(user: u128, device: u128, role: Role) -> NewUser {
    NewUser {
        practice: PracticeId::new(Uuid::from_u128(1)),
        device: DeviceId::new(Uuid::from_u128(device)),
        user: UserId::new(Uuid::from_u128(user)),
        name: "Mina Seo".into(),
        role,
    }
}

fn passphrase() -> Passphrase {
    Passphrase::chosen("heron lamp quince", &[]).unwrap()
}

fn certificate(vault: &Vault<Unlocked>, role: Role, code: Option<&EnrolmentCode>) -> UserCertificate {
    UserCertificate {
        practice: vault.practice(),
        user: vault.user(),
        role,
        user_key: vault.identity().signing.public(),
        device: vault.device(),
        device_key: vault.device_signing().public(),
        enrolment: code.map(EnrolmentCode::id),
    }
}

fn owner() -> Computer {
    let folder = tempfile::tempdir().unwrap();
    let owner = new_user(2, 10, Role::Therapist);
    let (vault, _) = Vault::create_practice_owner(folder.path(), owner, &passphrase(), KdfParams::FLOOR).unwrap();
    let root = vault.identity().root_signing.clone().unwrap();
    let chain = Chain::of_owner(certificate(&vault, Role::Therapist, None), &root);
    Computer {
        vault,
        chain,
        _folder: folder,
    }
}

/// The line for the newcomer, and what the service is given: the authorisation and a parcel that it cannot open.
fn invite(by: &Computer, whom: &NewUser, signer: &SigningKey) -> (String, Signed<Authorisation>, Vec<u8>) {
    let (vault, code) = (&by.vault, EnrolmentCode::random());
    let authorisation = Authorisation {
        practice: vault.practice(),
        enrolment: code.id(),
        user: whom.user,
        role: whom.role,
        admin: false,
        enrolment_key: code.signing_key().public(),
        expires_at_ms: NOW + LIFETIME_MS,
    };
    let practice_root = vault.identity().practice_root;
    let keys = (whom.user == vault.user()).then(|| vault.portable_keys());
    let parcel = code.seal_parcel(
        vault.practice(),
        &Parcel {
            user: whom.user,
            practice_root,
            keys,
        },
    );
    let invitation = Invitation {
        address: "https://10.0.0.5:8443".into(),
        practice: vault.practice(),
        pin: None,
        user: whom.user,
        practice_root,
        code,
    };
    (
        invitation.line().unwrap().to_string(),
        Signed::new(authorisation, signer),
        parcel,
    )
}

fn join(whom: NewUser, line: &str, authorisation: Signed<Authorisation>, parcel: &[u8]) -> Computer {
    let invitation = Invitation::parse(line).unwrap();
    let parcel = invitation.code.open_parcel(invitation.practice, parcel).unwrap();
    assert_eq!(parcel.practice_root, invitation.practice_root);
    let joining = match parcel.keys {
        Some(keys) => Joining::Carried(Box::new(keys)),
        None => Joining::New {
            practice_root: parcel.practice_root,
        },
    };
    let (folder, role) = (tempfile::tempdir().unwrap(), whom.role);
    let (vault, _) = Vault::join_device(folder.path(), whom, joining, &passphrase(), KdfParams::FLOOR).unwrap();
    let user = Signed::new(
        certificate(&vault, role, Some(&invitation.code)),
        &invitation.code.signing_key(),
    );
    let chain = Chain {
        admin: None,
        sponsor: None,
        authorisation: Some(authorisation),
        user,
    };
    Computer {
        vault,
        chain,
        _folder: folder,
    }
}

fn verified(computer: &Computer, by: &Computer) -> Result<VerifiedUser, ChainError> {
    // Over the wire and back, as it reaches everybody else.
    let chain: Chain = serde_json::from_str(&serde_json::to_string(&computer.chain).unwrap()).unwrap();
    let shown = verify_chain(&by.vault.identity().practice_root, &chain, Some(NOW))?;
    assert_eq!(shown.user_key, computer.vault.identity().signing.public());
    assert_eq!(shown.device_key, computer.vault.device_signing().public());
    Ok(shown)
}

#[test]
fn a_desk_joins_with_keys_of_its_own_and_everybody_can_check_who_it_is() {
    let owner = owner();
    assert!(verified(&owner, &owner).unwrap().admin);
    let whom = new_user(3, 11, Role::FrontDesk);
    let root = owner.vault.identity().root_signing.clone().unwrap();
    let (line, authorisation, parcel) = invite(&owner, &whom, &root);
    let desk = join(whom, &line, authorisation, &parcel);
    let shown = verified(&desk, &owner).unwrap();
    assert_eq!(
        (shown.user, shown.role, shown.admin),
        (desk.vault.user(), Role::FrontDesk, false)
    );
    assert!(desk.vault.database_key(DatabaseFile::Clinical).is_none());
    assert!(desk.vault.identity().root_signing.is_none());
}

#[test]
fn an_administrator_enrols_a_therapist_who_adds_her_own_laptop_herself() {
    let owner = owner();
    let root = owner.vault.identity().root_signing.clone().unwrap();
    let (line, authorisation, parcel) = invite(&owner, &new_user(4, 12, Role::Admin), &root);
    let admin = join(new_user(4, 12, Role::Admin), &line, authorisation, &parcel);
    let admin_key = &admin.vault.identity().signing;
    let right = AdminCertificate {
        practice: admin.vault.practice(),
        user: admin.vault.user(),
        public_key: admin_key.public(),
        may_enrol: true,
    };

    let whom = new_user(5, 13, Role::Therapist);
    let (line, authorisation, parcel) = invite(&admin, &whom, admin_key);
    let mut therapist = join(whom, &line, authorisation, &parcel);
    assert!(
        verified(&therapist, &owner).is_err(),
        "the right of the administrator must be shown too"
    );
    therapist.chain.admin = Some(Signed::new(right, &root));
    verified(&therapist, &owner).unwrap();

    let laptop = new_user(5, 14, Role::Therapist);
    let (line, authorisation, parcel) = invite(&therapist, &laptop, &therapist.vault.identity().signing);
    let mut second = join(laptop, &line, authorisation, &parcel);
    second.chain.sponsor = Some(therapist.chain.as_sponsor());
    let shown = verified(&second, &owner).unwrap();
    assert_eq!(
        (shown.user, shown.device),
        (therapist.vault.user(), second.vault.device())
    );
    assert_eq!(
        second.vault.identity().private_notes.expose(),
        therapist.vault.identity().private_notes.expose(),
        "her private notes open on both"
    );
}
