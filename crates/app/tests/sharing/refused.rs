//! A change that the service did not take: it is listed with its reason, tried again when a person says so, and then goes or is listed again.

use caseload_app::App;
use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;

use crate::computers::*;

fn user(app: &App) -> String {
    app.status().unwrap().session.unwrap().user_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_is_listed_until_it_is_tried_again_and_taken() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let line = person(owner, Role::Therapist, "Jun Park").await;
    let therapist = app(&practice.folder.path().join("therapist"), WhenAsked);
    therapist.join(joining(&line, "paper lantern hill")).await.unwrap();
    let who = client(&therapist, "Novak");
    all_equal(&[&therapist, owner]).await;

    // She asks a colleague to treat with her, and does not know yet that her own care has ended.
    let grant = |therapist: &str| GrantCare {
        client_id: who.clone(),
        therapist_id: therapist.to_owned(),
    };
    therapist.grant_care(grant(&user(owner))).unwrap();
    let end = EndCare {
        client_id: who.clone(),
        therapist_id: user(&therapist),
    };
    owner.end_care(end).unwrap();
    owner.share_now().await.unwrap();
    let overview = therapist.share_now().await.unwrap();
    assert_eq!((overview.refused.len(), overview.waiting), (1, 0));
    assert_eq!(overview.refused[0].code, ErrorCode::Forbidden);
    let treats = |app: &App| {
        let record = app.client(by_id(&who)).unwrap();
        record
            .care
            .iter()
            .filter(|care| matches!(care.status, CareStatus::Active))
            .count()
    };
    assert_eq!((treats(owner), treats(&therapist)), (0, 0));

    let id = overview.refused[0].id.clone();
    let overview = therapist.retry_refused(by_id(&id)).await.unwrap();
    assert_eq!(overview.refused.len(), 1, "she may still not");
    assert_eq!(
        refused(therapist.retry_refused(by_id(&id)).await),
        ErrorCode::NotFound,
        "what was tried again is another change"
    );
    owner.grant_care(grant(&user(&therapist))).unwrap();
    owner.share_now().await.unwrap();
    therapist.share_now().await.unwrap();
    let id = therapist.sync_overview().unwrap().refused[0].id.clone();
    let overview = therapist.retry_refused(by_id(&id)).await.unwrap();
    assert_eq!(
        (overview.state, overview.waiting, overview.refused.len()),
        (SyncState::UpToDate, 0, 0)
    );
    all_equal(&[owner, &therapist]).await;
    assert_eq!((treats(owner), treats(&therapist)), (2, 2));
}
