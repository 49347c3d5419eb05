//! A service that was put back from an older copy: what it lost is shown beside what is there, and somebody who may decides.

use caseload_app::App;
use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;
use caseload_service::restore::{Restoration, Source, backup, restore};
use caseload_service::{MasterKeySource, RunningService, Service, ServiceConfig};

use crate::computers::*;

const IN_THE_COPY: &str = "010-1111-1111";
const LOST: &str = "010-2222-2222";

/// Puts the service back as it was before `work`.
async fn lose(service: RunningService, folder: &std::path::Path, work: impl AsyncFnOnce()) -> RunningService {
    let (data, copy) = (folder.join("service"), folder.join("copy"));
    let key = MasterKeySource::Demonstration;
    backup(&data, &key, &copy).await.unwrap();
    work().await;
    let address = service.address();
    service.shutdown().await;
    let restoration = Restoration {
        data: data.clone(),
        mongodb: None,
        master_key: key.clone(),
        source: Source::Copy(copy),
        replace: true,
    };
    assert_eq!(restore(&restoration).await.unwrap().len(), 1);
    Service::start(ServiceConfig::new(data, address, key)).await.unwrap()
}

fn phone(app: &App, client: &str, phone: &str) {
    let patch = ClientPatch {
        phone: Some(phone.to_owned()),
        ..ClientPatch::default()
    };
    let id = client.to_owned();
    app.update_client(UpdateClient { id, patch }).unwrap();
}

fn note(app: &App, client: &str, text: &str) {
    let made = app
        .create_note(CreateNote {
            client_id: client.to_owned(),
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    let sections = vec![NoteSection {
        key: "text".to_owned(),
        text: text.to_owned(),
    }];
    app.autosave_note(AutosaveNote {
        id: made.summary.id,
        template: NoteTemplate::Free,
        sections,
    })
    .unwrap();
}

fn offered(all: &[Reoffer], entity: EntityType) -> &Reoffer {
    let mut found = all.iter().filter(|each| each.entity == entity);
    let first = found.next().expect("one of this kind is offered back");
    assert!(found.next().is_none(), "and one only");
    first
}

fn part<'a>(reoffer: &'a Reoffer, name: &str) -> (&'a str, &'a str) {
    let found = reoffer.parts.iter().find(|part| part.name == name).unwrap();
    (&found.here, &found.offered)
}

/// A practice in which a client, her care and booking, a note of another one and his telephone were lost; with the desk and both clients.
async fn after_a_loss() -> (Clinic, App, [String; 2]) {
    let Clinic { service, owner, folder } = Clinic::published(WhenAsked).await;
    let kept = client(&owner, "Ellis");
    phone(&owner, &kept, IN_THE_COPY);
    let practice = Clinic { service, owner, folder };
    let desk = practice.desk(WhenAsked).await;
    all_equal(&[&practice.owner, &desk]).await;
    let Clinic { service, owner, folder } = practice;
    let mut new = None;
    let service = lose(service, folder.path(), async || {
        let lost = client(&owner, "Novak");
        book(&owner, &lost, "11:00");
        phone(&owner, &kept, LOST);
        note(&owner, &kept, "Slept better");
        all_equal(&[&owner, &desk]).await;
        new = Some(lost);
    })
    .await;
    for app in [&owner, &desk, &owner] {
        app.share_now().await.unwrap();
    }
    (Clinic { service, owner, folder }, desk, [kept, new.unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_service_lost_is_shown_beside_what_is_there_now() {
    let (practice, desk, [kept, lost]) = after_a_loss().await;
    let owner = &practice.owner;
    let open = owner.reoffers().unwrap();
    assert_eq!(open.len(), 5);
    assert!(
        open.iter()
            .all(|each| each.may_settle && !each.removed && each.at.is_some())
    );
    assert!(open.iter().all(|each| each.by == "Mina Seo" || each.by == "Yuna Baek"));
    assert!(open.iter().all(|each| each.device_name.is_some()));

    let clients: Vec<&Reoffer> = open.iter().filter(|each| each.entity == EntityType::Client).collect();
    let [changed, gone] = clients.as_slice() else {
        panic!("two clients")
    };
    assert_eq!(
        (changed.entity_id.as_str(), gone.entity_id.as_str()),
        (kept.as_str(), lost.as_str())
    );
    assert!(changed.is_here && changed.client_id.as_deref() == Some(kept.as_str()));
    assert_eq!(changed.parts.len(), 1, "what is the same is not shown");
    assert_eq!(part(changed, "phone"), (IN_THE_COPY, LOST));
    assert!(!gone.is_here && gone.client_id.is_none());
    assert_eq!(part(gone, "name"), ("", "A Novak"));

    let booking = offered(&open, EntityType::Appointment);
    assert_eq!(booking.title.as_deref(), Some("A Novak"), "her own row tells her name");
    assert!(
        part(booking, "schedule")
            .1
            .starts_with("2031-05-12 11:00–11:50\nMina Seo")
    );
    assert_eq!(
        part(offered(&open, EntityType::CareRelationship), "therapist"),
        ("", "Mina Seo")
    );
    let text = offered(&open, EntityType::SessionNote);
    assert!(text.clinical);
    assert_eq!(
        (text.title.as_deref(), part(text, "text")),
        (Some("A Ellis"), ("", "Slept better"))
    );

    assert_eq!(owner.sync_overview().unwrap().reoffers, 5);
    let today = owner.today(TodayRequest { date: None }).unwrap();
    let said = today
        .attention
        .iter()
        .filter(|each| each.kind == AttentionKind::OfferedBack);
    assert_eq!(said.count(), 1, "one line for all of them");

    let seen = desk.reoffers().unwrap();
    assert_eq!(seen.len(), 4, "no word of the note");
    assert!(seen.iter().all(|each| !each.may_settle && !each.clinical));
    assert_eq!(
        desk.sync_overview().unwrap().reoffers,
        0,
        "there is nothing for the desk to settle"
    );
    assert_eq!(desk.accept_missing_reoffers().unwrap().len(), 4);
    let id = seen[0].id.clone();
    assert_eq!(
        refused(desk.settle_reoffer(SettleReoffer { id, accept: true })),
        ErrorCode::Forbidden
    );
    practice.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_put_back_at_once_and_what_was_changed_stays_as_it_was_decided() {
    let (practice, desk, [kept, _]) = after_a_loss().await;
    let owner = &practice.owner;
    let left = owner.accept_missing_reoffers().unwrap();
    let [changed] = left.as_slice() else {
        panic!("nothing that is there in another form gives way unseen")
    };
    let leave = || SettleReoffer {
        id: changed.id.clone(),
        accept: false,
    };
    assert!(owner.settle_reoffer(leave()).unwrap().is_empty());
    assert_eq!(refused(owner.settle_reoffer(leave())), ErrorCode::AlreadySettled);
    assert_eq!(owner.sync_overview().unwrap().reoffers, 0);
    owner.share_now().await.unwrap();
    all_equal(&[owner, &desk]).await;
    for app in [owner, &desk] {
        assert_eq!(names(app), ["A Ellis", "A Novak"]);
        assert_eq!(app.client(by_id(&kept)).unwrap().details.phone, IN_THE_COPY);
        assert!(app.reoffers().unwrap().is_empty());
    }
    let notes = owner.notes(NotesRequest { client_id: Some(kept) }).unwrap();
    assert_eq!(notes.len(), 1);
    practice.service.shutdown().await;
}
