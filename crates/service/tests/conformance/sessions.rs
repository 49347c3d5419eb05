//! Sessions and their tokens.

use caseload_domain::DeviceId;
use caseload_service::storage::{Rotation, Session, TokenHash, Tokens};
use tokio::task::JoinSet;

use crate::clinic::{Clinic, OWNER, user, uuid};
use crate::ground::Ground;

on_both_storages!(
    a_session_lives_until_its_access_token_expires_or_it_is_ended,
    a_refresh_token_is_exchanged_once_and_using_it_again_ends_the_session,
    of_many_who_exchange_one_token_at_most_one_succeeds,
    revoking_a_computer_ends_its_sessions_and_none_begins_after_it,
    of_sessions_that_begin_while_their_computer_is_revoked_none_is_left,
);

const NOW: i64 = 4_000_000_000_000;

fn session(clinic: &Clinic, family: &str) -> Session {
    Session {
        family: family.into(),
        practice: clinic.practice,
        user: user(OWNER),
        device: DeviceId::new(uuid(700)),
    }
}

fn tokens(number: u8) -> Tokens {
    Tokens {
        access: TokenHash([number; 32]),
        access_expires_ms: NOW + 900_000,
        refresh: TokenHash([number + 100; 32]),
        refresh_expires_ms: NOW + 2_592_000_000,
    }
}

async fn a_session_lives_until_its_access_token_expires_or_it_is_ended(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let kept = session(&clinic, "one");
    clinic.storage.put_session(&kept, &tokens(1)).await.unwrap();
    let find = async |token: TokenHash, now| {
        clinic
            .storage
            .session_by_access(clinic.practice, &token, now)
            .await
            .unwrap()
    };
    assert_eq!(find(tokens(1).access, NOW).await, Some(kept));
    assert_eq!(find(tokens(1).access, tokens(1).access_expires_ms).await, None);
    assert_eq!(
        find(tokens(1).refresh, NOW).await,
        None,
        "a refresh token opens nothing"
    );
    assert_eq!(find(tokens(2).access, NOW).await, None);
    clinic.storage.end_session(clinic.practice, "one").await.unwrap();
    clinic
        .storage
        .end_session(clinic.practice, "never there")
        .await
        .unwrap();
    assert_eq!(find(tokens(1).access, NOW).await, None);
    let ended = clinic
        .storage
        .rotate_session(clinic.practice, &tokens(1).refresh, &tokens(2), NOW)
        .await
        .unwrap();
    assert_eq!(ended, Rotation::Unknown);
}

async fn a_refresh_token_is_exchanged_once_and_using_it_again_ends_the_session(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let kept = session(&clinic, "one");
    clinic.storage.put_session(&kept, &tokens(1)).await.unwrap();
    let rotate = async |old: u8, new: u8, now| {
        clinic
            .storage
            .rotate_session(clinic.practice, &tokens(old).refresh, &tokens(new), now)
            .await
            .unwrap()
    };
    assert_eq!(rotate(9, 2, NOW).await, Rotation::Unknown);
    assert_eq!(rotate(1, 2, tokens(1).refresh_expires_ms).await, Rotation::Expired);
    assert_eq!(rotate(1, 2, NOW).await, Rotation::Rotated(kept.clone()));
    let by_access = async |number| {
        clinic
            .storage
            .session_by_access(clinic.practice, &tokens(number).access, NOW)
            .await
            .unwrap()
    };
    assert_eq!(by_access(1).await, None, "the old access token ends with the exchange");
    assert_eq!(by_access(2).await, Some(kept.clone()));
    assert_eq!(rotate(2, 3, NOW).await, Rotation::Rotated(kept));
    assert_eq!(rotate(1, 4, NOW).await, Rotation::Reused);
    assert_eq!(
        by_access(3).await,
        None,
        "whoever holds the newest token is out as well"
    );
    assert_eq!(rotate(3, 5, NOW).await, Rotation::Unknown);
}

async fn of_many_who_exchange_one_token_at_most_one_succeeds(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    clinic
        .storage
        .put_session(&session(&clinic, "one"), &tokens(1))
        .await
        .unwrap();
    let mut racing = JoinSet::new();
    for number in 10..18 {
        let clinic = clinic.clone();
        racing.spawn(async move {
            clinic
                .storage
                .rotate_session(clinic.practice, &tokens(1).refresh, &tokens(number), NOW)
                .await
                .unwrap()
        });
    }
    let outcomes = racing.join_all().await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Rotation::Rotated(_)))
            .count(),
        1
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == Rotation::Reused).count(),
        7
    );
}

async fn revoking_a_computer_ends_its_sessions_and_none_begins_after_it(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    clinic
        .storage
        .put_session(&session(&clinic, "one"), &tokens(1))
        .await
        .unwrap();
    let elsewhere = Session {
        device: DeviceId::new(uuid(701)),
        ..session(&clinic, "two")
    };
    clinic.storage.put_session(&elsewhere, &tokens(2)).await.unwrap();
    clinic
        .storage
        .revoke_device(clinic.practice, DeviceId::new(uuid(700)))
        .await
        .unwrap();
    let find = async |number| {
        clinic
            .storage
            .session_by_access(clinic.practice, &tokens(number).access, NOW)
            .await
            .unwrap()
    };
    assert_eq!(find(1).await, None);
    assert_eq!(find(2).await, Some(elsewhere));
    let late = session(&clinic, "late");
    assert!(!clinic.storage.put_session(&late, &tokens(3)).await.unwrap());
    assert_eq!(find(3).await, None, "none begins afterwards");
    let rotated = clinic
        .storage
        .rotate_session(clinic.practice, &tokens(3).refresh, &tokens(4), NOW)
        .await;
    assert_eq!(rotated.unwrap(), Rotation::Unknown);
}

async fn of_sessions_that_begin_while_their_computer_is_revoked_none_is_left(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut racing = JoinSet::new();
    for number in 1..=16 {
        let clinic = clinic.clone();
        racing.spawn(async move {
            if number == 8 {
                let revoked = clinic.storage.revoke_device(clinic.practice, DeviceId::new(uuid(700)));
                assert!(revoked.await.unwrap());
            } else {
                let one = session(&clinic, &format!("session {number}"));
                let begun = clinic.storage.put_session(&one, &tokens(number)).await;
                begun.map(drop).unwrap();
            }
        });
    }
    racing.join_all().await;
    for number in 1..=16 {
        let left = clinic
            .storage
            .session_by_access(clinic.practice, &tokens(number).access, NOW)
            .await;
        assert_eq!(left.unwrap(), None, "session {number}");
    }
}
