//! Practices, people, computers, codes and files.

use std::sync::Arc;

use caseload_domain::{DeviceId, ReplicaId, Role};
use caseload_protocol::auth::ReplicaKind;
use caseload_service::storage::{ClaimError, Enrolment, NewReplica, RedeemError, RegisterError};
use caseload_vault::PublicKey;
use serde_json::json;
use tokio::task::JoinSet;

use crate::clinic::{Clinic, DESK, OWNER, THERAPIST, account, device, new_practice, user, uuid};
use crate::ground::Ground;

on_both_storages!(
    a_practice_is_claimed_once_however_many_try,
    an_enrolment_is_taken_once_however_many_try,
    an_enrolment_that_cannot_be_redeemed_stays_as_it_is,
    a_computer_may_have_several_users_but_only_one_key,
    a_used_enrolment_is_not_replaced,
    replicas_are_numbered_from_one_and_keep_their_owner,
    a_revoked_computer_is_remembered,
);

const LATER: i64 = 4_000_000_000_000;
pub(crate) const NOW: i64 = LATER - 60_000;

pub(crate) fn enrolment(id: &str, person: u32) -> Enrolment {
    let account = account(person);
    Enrolment {
        id: id.into(),
        authorisation: json!({"statement": {"b": 1, "a": "é"}, "signature": "s"}),
        admin_certificate: json!(null),
        sealed_bundle: None,
        user: account.user,
        user_name: "Han".into(),
        role: account.role,
        admin: account.admin,
        expires_ms: LATER,
    }
}

async fn a_practice_is_claimed_once_however_many_try(ground: Ground) {
    assert!(!ground.storage.any_practice().await.unwrap());
    let mut claims = JoinSet::new();
    for number in 0..8 {
        let storage = if number % 2 == 0 {
            Arc::clone(&ground.storage)
        } else {
            ground.another_node().await
        };
        claims.spawn(async move {
            storage
                .claim(&new_practice(1), &account(OWNER), &device(700 + number, &[OWNER]))
                .await
        });
    }
    let outcomes = claims.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(()) | Err(ClaimError::AlreadyClaimed)))
    );
    assert!(ground.storage.any_practice().await.unwrap());
    let practice = new_practice(1);
    let kept = ground.storage.practice(practice.practice).await.unwrap().unwrap();
    assert_eq!((kept.name, kept.root_key), (practice.name, practice.root_key));
    let head = ground.storage.head(practice.practice).await.unwrap().unwrap();
    assert_eq!((head.epoch, head.seq, head.chain), (practice.epoch, 0, [0; 32]));
    assert_eq!(
        ground.storage.account(practice.practice, user(OWNER)).await.unwrap(),
        Some(account(OWNER))
    );
    let mut devices = 0;
    for number in 0..8 {
        let found = ground
            .storage
            .device(practice.practice, DeviceId::new(uuid(700 + number)))
            .await
            .unwrap();
        devices += usize::from(found.is_some());
    }
    assert_eq!(devices, 1, "a refused claim leaves nothing behind");
}

async fn an_enrolment_is_taken_once_however_many_try(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    clinic
        .storage
        .put_enrolment(clinic.practice, &enrolment("code", DESK))
        .await
        .unwrap();
    let kept = clinic
        .storage
        .enrolment(clinic.practice, "code")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&kept.enrolment, kept.used), (&enrolment("code", DESK), false));
    let mut joiners = JoinSet::new();
    for number in 0..8_u32 {
        let joiner = clinic.through(if number % 2 == 0 {
            Arc::clone(&ground.storage)
        } else {
            ground.another_node().await
        });
        joiners.spawn(async move {
            let device = device(710 + number, &[DESK]);
            joiner
                .storage
                .redeem_enrolment(joiner.practice, "code", &account(DESK), &device, NOW)
                .await
        });
    }
    let outcomes = joiners.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(()) | Err(RedeemError::AlreadyUsed)))
    );
    assert!(
        clinic
            .storage
            .enrolment(clinic.practice, "code")
            .await
            .unwrap()
            .unwrap()
            .used
    );
    assert_eq!(
        clinic.storage.account(clinic.practice, user(DESK)).await.unwrap(),
        Some(account(DESK))
    );
    let mut devices = 0;
    for number in 0..8 {
        let found = clinic
            .storage
            .device(clinic.practice, DeviceId::new(uuid(710 + number)))
            .await
            .unwrap();
        devices += usize::from(found.is_some());
    }
    assert_eq!(devices, 1);
}

async fn an_enrolment_that_cannot_be_redeemed_stays_as_it_is(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let storage = &clinic.storage;
    let redeem = async |code: &str, account: caseload_service::storage::Account, device, now| {
        storage
            .redeem_enrolment(clinic.practice, code, &account, &device, now)
            .await
    };
    assert!(matches!(
        redeem("none", account(DESK), device(710, &[DESK]), NOW).await,
        Err(RedeemError::Unknown)
    ));
    storage
        .put_enrolment(clinic.practice, &enrolment("code", DESK))
        .await
        .unwrap();
    assert!(matches!(
        redeem("code", account(DESK), device(710, &[DESK]), LATER).await,
        Err(RedeemError::Expired)
    ));

    let mut other_key = account(OWNER);
    other_key.public_key = PublicKey([9; 32]);
    assert!(matches!(
        redeem("code", other_key, device(710, &[OWNER]), NOW).await,
        Err(RedeemError::AccountDiffers)
    ));
    let mut other_role = account(OWNER);
    other_role.role = Role::FrontDesk;
    assert!(matches!(
        redeem("code", other_role, device(710, &[OWNER]), NOW).await,
        Err(RedeemError::AccountDiffers)
    ));
    let mut stolen = device(700, &[DESK]);
    stolen.public_key = PublicKey([9; 32]);
    assert!(matches!(
        redeem("code", account(DESK), stolen, NOW).await,
        Err(RedeemError::DeviceDiffers)
    ));

    assert_eq!(
        storage.account(clinic.practice, user(DESK)).await.unwrap(),
        None,
        "a refusal leaves nothing behind"
    );
    assert!(!storage.enrolment(clinic.practice, "code").await.unwrap().unwrap().used);
    redeem("code", account(DESK), device(710, &[DESK]), NOW).await.unwrap();
}

async fn a_computer_may_have_several_users_but_only_one_key(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    clinic
        .storage
        .put_enrolment(clinic.practice, &enrolment("code", THERAPIST))
        .await
        .unwrap();
    let shared = device(700, &[THERAPIST]);
    clinic
        .storage
        .redeem_enrolment(clinic.practice, "code", &account(THERAPIST), &shared, NOW)
        .await
        .unwrap();
    let kept = clinic
        .storage
        .device(clinic.practice, shared.device)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.users, [user(OWNER), user(THERAPIST)]);
    assert_eq!(kept.public_key, shared.public_key);
}

async fn a_used_enrolment_is_not_replaced(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    clinic
        .storage
        .put_enrolment(clinic.practice, &enrolment("code", DESK))
        .await
        .unwrap();
    let renewed = Enrolment {
        sealed_bundle: Some("bundle".into()),
        ..enrolment("code", DESK)
    };
    clinic.storage.put_enrolment(clinic.practice, &renewed).await.unwrap();
    assert_eq!(
        clinic
            .storage
            .enrolment(clinic.practice, "code")
            .await
            .unwrap()
            .unwrap()
            .enrolment,
        renewed
    );
    clinic
        .storage
        .redeem_enrolment(clinic.practice, "code", &account(DESK), &device(710, &[DESK]), NOW)
        .await
        .unwrap();
    clinic
        .storage
        .put_enrolment(clinic.practice, &enrolment("code", THERAPIST))
        .await
        .unwrap();
    let kept = clinic
        .storage
        .enrolment(clinic.practice, "code")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.enrolment, kept.used), (renewed, true));
}

async fn replicas_are_numbered_from_one_and_keep_their_owner(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let new = |number: u32, kind, person: u32| NewReplica {
        replica: ReplicaId::new(uuid(number)),
        kind,
        device: DeviceId::new(uuid(700)),
        user: user(person),
        replaces: None,
    };
    let register = async |replica: NewReplica| clinic.storage.register_replica(clinic.practice, &replica).await;
    assert_eq!(register(new(800, ReplicaKind::Office, OWNER)).await.unwrap(), 1);
    assert_eq!(register(new(801, ReplicaKind::Clinical, OWNER)).await.unwrap(), 2);
    let mut racing = JoinSet::new();
    for number in 0..6 {
        let clinic = clinic.through(if number % 2 == 0 {
            Arc::clone(&ground.storage)
        } else {
            ground.another_node().await
        });
        let replica = new(810 + number, ReplicaKind::Clinical, THERAPIST);
        racing.spawn(async move {
            clinic
                .storage
                .register_replica(clinic.practice, &replica)
                .await
                .unwrap()
        });
    }
    let mut numbers = racing.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);

    assert_eq!(
        register(new(800, ReplicaKind::Office, DESK)).await.unwrap(),
        1,
        "an office file belongs to its computer"
    );
    let stolen = register(new(801, ReplicaKind::Clinical, THERAPIST)).await;
    assert!(
        matches!(stolen, Err(RegisterError::OtherOwner)),
        "a clinical file belongs to one person"
    );
    let other_kind = register(new(800, ReplicaKind::Clinical, OWNER)).await;
    assert!(matches!(other_kind, Err(RegisterError::OtherOwner)));
    let continued = NewReplica {
        replaces: Some(ReplicaId::new(uuid(801))),
        ..new(820, ReplicaKind::Clinical, OWNER)
    };
    assert_eq!(register(continued.clone()).await.unwrap(), 9);
    let kept = clinic
        .storage
        .replica(clinic.practice, continued.replica)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (kept.replaces, kept.kind, kept.number, kept.last_op),
        (continued.replaces, ReplicaKind::Clinical, 9, None)
    );
    assert_eq!(
        clinic
            .storage
            .replica(clinic.practice, ReplicaId::new(uuid(899)))
            .await
            .unwrap(),
        None
    );
}

async fn a_revoked_computer_is_remembered(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let lost = DeviceId::new(uuid(700));
    assert!(clinic.storage.revoke_device(clinic.practice, lost).await.unwrap());
    assert!(
        !clinic
            .storage
            .revoke_device(clinic.practice, DeviceId::new(uuid(799)))
            .await
            .unwrap()
    );
    assert!(
        clinic
            .storage
            .device(clinic.practice, lost)
            .await
            .unwrap()
            .unwrap()
            .revoked
    );
    clinic
        .storage
        .put_enrolment(clinic.practice, &enrolment("code", DESK))
        .await
        .unwrap();
    let again = clinic
        .storage
        .redeem_enrolment(clinic.practice, "code", &account(DESK), &device(700, &[DESK]), NOW)
        .await;
    assert!(matches!(again, Err(RedeemError::DeviceDiffers)));
}
