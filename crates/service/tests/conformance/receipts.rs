//! Every retry is harmless, and every operation ends in exactly one answer.

use caseload_domain::OpId;
use caseload_protocol::messages::{LastOp, Outcome, Refusal};
use caseload_service::storage::{PushBatch, PushError, StorageError};
use serde_json::json;
use uuid::Uuid;

use crate::clinic::{Clinic, DESK, OWNER, Sender, client_document, create, grant, key, new_practice, note, patch};
use crate::ground::Ground;

on_both_storages!(
    the_same_bytes_again_give_the_same_answer,
    the_same_bytes_through_two_nodes_at_once_are_made_once,
    after_a_lost_reply_the_rest_is_made_and_the_first_is_answered_from_its_receipt,
    missing_and_reused_mutation_numbers_are_refused_and_write_nothing,
    a_change_sent_again_by_a_reregistered_device_is_not_made_twice,
    one_bad_operation_never_delays_the_others,
    a_group_is_made_all_or_none,
    what_is_unknown_is_refused,
    acknowledged_changes_are_there_after_a_restart,
    forged_groups_are_refused_one_by_one,
);

async fn the_same_bytes_again_give_the_same_answer(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let group = owner.group(vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)]);
    let first = clinic.send(&owner, vec![group.clone()]).await.unwrap();
    assert!(
        first
            .results
            .iter()
            .all(|result| result.st == Outcome::Applied || result.st == Outcome::Merged)
    );
    let seq = clinic.head_seq().await;
    for _ in 0..3 {
        assert_eq!(clinic.send(&owner, vec![group.clone()]).await.unwrap(), first);
    }
    assert_eq!(clinic.head_seq().await, seq, "a repetition writes nothing");
}

async fn the_same_bytes_through_two_nodes_at_once_are_made_once(ground: Ground) {
    let here = Clinic::on(&ground.storage).await;
    let there = here.through(ground.another_node().await);
    let mut owner = here.sender(800, OWNER).await;
    for number in 1..=10 {
        let group = owner.group(vec![create("client", number, &client_document("Kim"))]);
        let (one, other) = tokio::join!(
            here.send(&owner, vec![group.clone()]),
            there.send(&owner, vec![group.clone()])
        );
        assert_eq!(one.unwrap().results, other.unwrap().results);
    }
    assert_eq!(here.head_seq().await, 10);
}

async fn after_a_lost_reply_the_rest_is_made_and_the_first_is_answered_from_its_receipt(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let first = owner.group(vec![create("client", 1, &client_document("Kim"))]);
    let lost = clinic.send(&owner, vec![first.clone()]).await.unwrap();
    let second = owner.group(vec![patch("client", 1, 1, &json!({"phone": {"raw": "010"}}))]);
    let answer = clinic.send(&owner, vec![first, second]).await.unwrap();
    assert_eq!(answer.results[0], lost.results[0]);
    assert_eq!(answer.results[1].st, Outcome::Applied);
    let replica = clinic
        .storage
        .replica(clinic.practice, owner.replica)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        replica.last_op,
        Some(LastOp {
            number: 2,
            op_id: answer.results[1].op_id
        })
    );
}

async fn missing_and_reused_mutation_numbers_are_refused_and_write_nothing(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let mut clone = owner.clone();
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    let seq = clinic.head_seq().await;

    let _never_sent = owner.group(vec![create("client", 2, &client_document("Lee"))]);
    let after_the_gap = owner.group(vec![create("client", 3, &client_document("Park"))]);
    assert!(matches!(
        clinic.send(&owner, vec![after_the_gap]).await,
        Err(PushError::MutationGap)
    ));

    let mut other = create("client", 4, &client_document("Choi"));
    other.op_id = OpId::new(Uuid::from_u128(77));
    let forked = clone.group(vec![other]);
    assert!(matches!(
        clinic.send(&clone, vec![forked]).await,
        Err(PushError::DeviceForked)
    ));
    assert_eq!(clinic.head_seq().await, seq);
    assert_eq!(
        clinic
            .storage
            .fetch(clinic.practice, &[key("client", 3), key("client", 4)])
            .await
            .unwrap(),
        []
    );
}

async fn a_change_sent_again_by_a_reregistered_device_is_not_made_twice(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut before = clinic.sender(800, OWNER).await;
    let group = before.group(vec![create("client", 1, &client_document("Kim"))]);
    let first = clinic.send(&before, vec![group.clone()]).await.unwrap();
    clinic
        .push(
            &mut before,
            vec![patch("client", 1, 1, &json!({"phone": {"raw": "010"}}))],
        )
        .await;

    let after = clinic.sender(801, OWNER).await;
    let again = clinic.send(&after, vec![group.clone()]).await.unwrap();
    assert_eq!(again.results[0].st, Outcome::Duplicate);
    assert_eq!(again.results[0].op_id, first.results[0].op_id);
    assert_eq!(
        clinic.row(&key("client", 1)).await.rev,
        2,
        "nothing was written a second time"
    );
    assert_eq!(
        clinic.send(&after, vec![group]).await.unwrap(),
        again,
        "the second record is a receipt as well"
    );
}

async fn one_bad_operation_never_delays_the_others(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let groups = vec![
        owner.group(vec![create("client", 1, &client_document("Kim"))]),
        owner.group(vec![create("client", 2, &json!({"salt": "00"}))]),
        owner.group(vec![create("a_type_of_tomorrow", 3, &json!({"salt": "00"}))]),
        owner.group(vec![create("client", 4, &client_document("Lee"))]),
    ];
    let answer = clinic.send(&owner, groups).await.unwrap();
    let outcomes: Vec<Outcome> = answer.results.iter().map(|result| result.st).collect();
    assert_eq!(
        outcomes,
        [Outcome::Applied, Outcome::Rejected, Outcome::Upgrade, Outcome::Applied]
    );
    assert!(
        !answer.results[1].fields.is_empty(),
        "the answer says where it is wrong"
    );
    assert_eq!(clinic.head_seq().await, 2, "what was refused uses no number");
}

async fn a_group_is_made_all_or_none(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let answer = clinic
        .push(
            &mut owner,
            vec![
                create("client", 1, &client_document("Kim")),
                patch("client", 9, 1, &json!({"phone": {}})),
            ],
        )
        .await;
    assert_eq!(answer.results[0].why, Some(Refusal::Group));
    assert_eq!(answer.results[1].why, Some(Refusal::Missing));
    assert_eq!(
        clinic
            .storage
            .fetch(clinic.practice, &[key("client", 1)])
            .await
            .unwrap(),
        []
    );
    assert_eq!(clinic.head_seq().await, 0);
}

async fn what_is_unknown_is_refused(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut stranger = Sender::new(899, OWNER);
    let group = stranger.group(vec![create("client", 1, &client_document("Kim"))]);
    assert!(matches!(
        clinic.send(&stranger, vec![group.clone()]).await,
        Err(PushError::UnknownReplica)
    ));

    let owner = clinic.sender(800, OWNER).await;
    let other_history = PushBatch {
        epoch: Some("another".into()),
        ..owner.batch(vec![group.clone()])
    };
    let refused = clinic
        .storage
        .push(clinic.practice, other_history, crate::clinic::LIMITS)
        .await;
    assert!(matches!(refused, Err(PushError::EpochChanged)));

    let nowhere = Clinic {
        practice: new_practice(2).practice,
        ..clinic.clone()
    };
    let refused = nowhere.send(&owner, vec![group]).await;
    assert!(matches!(
        refused,
        Err(PushError::Storage(StorageError::UnknownPractice))
    ));
    assert_eq!(nowhere.storage.head(nowhere.practice).await.unwrap(), None);
}

async fn acknowledged_changes_are_there_after_a_restart(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let groups = vec![
        owner.group(vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)]),
        owner.group(vec![create("session_note", 5, &note(1, OWNER, "rest"))]),
    ];
    let answer = clinic.send(&owner, groups.clone()).await.unwrap();
    let rows = clinic
        .rows(&[caseload_domain::Scope::Office, crate::clinic::clinical(1)])
        .await;
    let again = clinic.through(ground.restarted().await);
    assert_eq!(
        again
            .rows(&[caseload_domain::Scope::Office, crate::clinic::clinical(1)])
            .await,
        rows
    );
    assert_eq!(again.send(&owner, groups).await.unwrap(), answer);
    assert!(
        clinic.storage.ping().await.is_err_and(|error| error.is_retryable()),
        "a closed storage says that it is not available"
    );
}

async fn forged_groups_are_refused_one_by_one(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut desk = clinic.sender(800, DESK).await;
    let mut forged = desk.group(vec![create("client", 1, &client_document("Kim"))]);
    forged.actor = None;
    let honest = desk.group(vec![create("client", 2, &client_document("Lee"))]);
    let answer = clinic.send(&desk, vec![forged, honest]).await.unwrap();
    assert_eq!(answer.results[0].why, Some(Refusal::Signature));
    assert_eq!(answer.results[1].st, Outcome::Applied);
}
