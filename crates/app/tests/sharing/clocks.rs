//! Computers whose clocks are wrong: nothing is decided by them, nothing is lost, and the person is told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;
use caseload_app::{App, Env};
use caseload_service::Clock;

use crate::computers::*;

const HOUR: i64 = 60 * 60 * 1000;

/// A computer whose clock is off by as many milliseconds as the other value holds.
fn clocked(folder: &Path) -> (App, Arc<AtomicI64>) {
    let (off, time) = time();
    let env = Env::system()
        .sharing(WhenAsked)
        .documents(&folder.join("documents"))
        .with_cheapest_derivation()
        .clock(time);
    (App::open_with(folder, env).unwrap(), off)
}

/// The machine's time and what is added to it.
fn time() -> (Arc<AtomicI64>, impl Fn() -> i64 + Send + Sync + 'static) {
    let (off, real) = (Arc::new(AtomicI64::new(0)), Env::system());
    let by = Arc::clone(&off);
    (off, move || real.now().0 + by.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_whose_clock_is_wrong_joins_and_shares_everything_and_is_told() {
    let practice = Clinic::published(WhenAsked).await;
    for (name, hours) in [("ahead", 3), ("behind", -30)] {
        let line = person(&practice.owner, Role::FrontDesk, name).await;
        let (desk, off) = clocked(&practice.folder.path().join(name));
        off.store(hours * HOUR, Ordering::SeqCst);
        desk.join(joining(&line, DESK)).await.unwrap();
        client(&desk, name);
        let told = desk.share_now().await.unwrap();
        assert_eq!(
            (told.state, told.problem, told.waiting),
            (SyncState::UpToDate, Some(ErrorCode::ClockSkewed), 0),
            "{name}"
        );
        all_equal(&[&practice.owner, &desk]).await;
        off.store(0, Ordering::SeqCst);
        assert_eq!(desk.share_now().await.unwrap().problem, None, "{name}: set right");
    }
    assert_eq!(names(&practice.owner).len(), 2, "what they wrote is everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_a_computer_whose_clock_is_behind_is_refused_as_a_matter_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let (owner, off) = clocked(&folder.path().join("owner"));
    create(&owner);
    owner.publish(publication(&service)).await.unwrap();
    let mint = || MintEnrolment {
        kind: EnrolmentKind::Person,
        role: Some(Role::FrontDesk),
        full_name: Some("Yuna Baek".to_owned()),
    };
    off.store(-HOUR, Ordering::SeqCst);
    assert_eq!(refused(owner.mint_enrolment(mint()).await), ErrorCode::ClockSkewed);
    off.store(0, Ordering::SeqCst);
    let line = owner.mint_enrolment(mint()).await.unwrap().code;
    let desk = app(&folder.path().join("desk"), WhenAsked);
    desk.join(joining(&line, DESK)).await.unwrap();
    let invited = owner
        .staff()
        .unwrap()
        .into_iter()
        .filter(|person| person.name == "Yuna Baek");
    assert_eq!(invited.count(), 1, "the refused code left one person, who has come now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_over_when_the_services_clock_says_so_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (off, time) = time();
    let service = service_at(folder.path(), Clock::from_fn(time)).await;
    let owner = app(&folder.path().join("owner"), WhenAsked);
    create(&owner);
    owner.publish(publication(&service)).await.unwrap();
    let line = person(&owner, Role::FrontDesk, "Yuna Baek").await;
    off.store(10 * 60 * 1000, Ordering::SeqCst);
    let desk = app(&folder.path().join("desk"), WhenAsked);
    assert_eq!(refused(desk.join(joining(&line, DESK)).await), ErrorCode::CodeExpired);
    assert_eq!(desk.status().unwrap().phase, Phase::NoPractice);
}
