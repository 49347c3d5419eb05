//! A computer that comes back with many changes: whoever works at it is not kept waiting while they are shared.

use std::future::ready;

use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;

use crate::computers::*;

const CHANGES: usize = 600;
/// If commands had to wait for the end of the sharing, one round of them would be under way then and no other answered.
const ANSWERED: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_windows_commands_are_answered_and_changes_are_kept_while_a_backlog_is_shared() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    for number in 0..CHANGES {
        client(owner, &format!("Waiting {number}"));
    }
    let before = owner.sync_overview().unwrap().waiting;
    assert!(usize::try_from(before).unwrap() >= CHANGES);

    let sharing = owner.share_now();
    tokio::pin!(sharing);
    let mut answered = 0;
    loop {
        tokio::select! {
            biased;
            shared = &mut sharing => {
                shared.unwrap();
                break;
            }
            () = ready(()) => {
                let id = client(owner, &format!("Meanwhile {answered}"));
                assert_eq!(owner.client(by_id(&id)).unwrap().header.client_id, id);
                owner.today(TodayRequest { date: None }).unwrap();
                assert!(!names(owner).is_empty());
                answered += 1;
            }
        }
    }
    assert!(
        answered >= ANSWERED,
        "{answered} rounds of commands while {before} changes were shared"
    );

    let desk = practice.desk(WhenAsked).await;
    all_equal(&[owner, &desk]).await;
    let everybody = SearchClients {
        query: "Meanwhile".to_owned(),
        limit: 1,
    };
    let there = desk.search_clients(everybody).unwrap().total;
    assert_eq!(
        usize::try_from(there).unwrap(),
        answered,
        "what was entered meanwhile is shared, too"
    );
}
