//! A computer that was lost: taken out of the practice by an administrator, from another one.

use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;

use crate::computers::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_computer_shares_no_more_and_keeps_what_it_holds_and_what_waits_there() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    client(owner, "Ellis");
    let desk = practice.desk(WhenAsked).await;
    all_equal(&[owner, &desk]).await;
    let computers = owner.computers().unwrap();
    let named = |name: &str| computers.iter().find(|computer| computer.name == name).unwrap();
    let (own, other) = (named("Laptop"), named("Other computer"));
    assert!(own.is_this_one && !other.is_this_one);
    assert_eq!(
        (other.people.as_slice(), other.is_revoked),
        (&["Yuna Baek".to_owned()][..], false)
    );

    assert_eq!(
        refused(desk.revoke_computer(by_id(&own.id)).await),
        ErrorCode::Forbidden,
        "the desk does not administer"
    );
    assert_eq!(
        refused(owner.revoke_computer(by_id(&own.id)).await),
        ErrorCode::Forbidden,
        "nobody locks herself out"
    );
    client(&desk, "Waiting");
    let after = owner.revoke_computer(by_id(&other.id)).await.unwrap();
    let revoked = after.iter().find(|computer| computer.id == other.id).unwrap();
    assert!(revoked.is_revoked);

    for _ in 0..2 {
        assert_eq!(refused(desk.share_now().await), ErrorCode::DeviceRevoked);
    }
    let overview = desk.sync_overview().unwrap();
    assert_eq!(
        (overview.state, overview.problem),
        (SyncState::Stopped, Some(ErrorCode::DeviceRevoked))
    );
    assert!(overview.waiting > 0 && overview.refused.is_empty());
    assert_eq!(names(&desk), ["A Ellis", "A Waiting"], "work goes on there, for itself");
    all_equal(&[owner]).await;
    assert_eq!(names(owner), ["A Ellis"]);
}
