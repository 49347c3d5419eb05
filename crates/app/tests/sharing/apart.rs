//! Two computers that worked apart: what merges, what is laid before a person, and how it is settled.

use caseload_app::App;
use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;

use crate::computers::*;

/// An owner and a desk with two clients, equal.
async fn apart() -> (Clinic, App, [String; 2]) {
    let practice = Clinic::published(WhenAsked).await;
    let clients = ["Ellis", "Novak"].map(|family| client(&practice.owner, family));
    let desk = practice.desk(WhenAsked).await;
    all_equal(&[&practice.owner, &desk]).await;
    (practice, desk, clients)
}

fn phone(app: &App, client: &str, phone: &str) {
    let patch = ClientPatch {
        phone: Some(phone.to_owned()),
        ..ClientPatch::default()
    };
    app.update_client(UpdateClient {
        id: client.to_owned(),
        patch,
    })
    .unwrap();
}

async fn together(apps: [&App; 2]) {
    for app in [apps[0], apps[1], apps[0]] {
        app.share_now().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_typed_twice_is_shown_with_who_wrote_it_where_and_settled_by_a_third_one() {
    let (practice, desk, [who, _]) = apart().await;
    let owner = &practice.owner;
    phone(owner, &who, "010-1111-1111");
    phone(&desk, &who, "010-2222-2222");
    together([owner, &desk]).await;
    let open = owner.conflicts().unwrap();
    let [conflict] = open.as_slice() else {
        panic!("one conflict")
    };
    assert_eq!(
        (conflict.unit.as_str(), conflict.title.as_str(), conflict.may_type),
        ("phone", "A Ellis", true)
    );
    assert_eq!(
        (conflict.a.text.as_str(), conflict.b.text.as_str()),
        ("010-1111-1111", "010-2222-2222")
    );
    assert_eq!(
        (conflict.a.by.as_str(), conflict.b.by.as_str()),
        ("Mina Seo", "Yuna Baek")
    );
    assert_eq!(conflict.a.device_name.as_deref(), Some("Laptop"));
    assert_eq!(conflict.b.device_name.as_deref(), Some("Other computer"));
    assert!(conflict.b.at.is_some());
    let settle = |choice| SettleConflict {
        id: conflict.id.clone(),
        choice,
    };
    assert_eq!(
        refused(desk.settle_conflict(settle(ConflictChoice::Typed { value: " ".to_owned() }))),
        ErrorCode::InvalidFields
    );
    let left = desk
        .settle_conflict(settle(ConflictChoice::Typed {
            value: "010-3333-3333".to_owned(),
        }))
        .unwrap();
    assert!(left.is_empty(), "what is settled here waits for nobody");
    assert_eq!(
        refused(desk.settle_conflict(settle(ConflictChoice::KeepA))),
        ErrorCode::AlreadySettled
    );
    together([&desk, owner]).await;
    assert_eq!(owner.client(by_id(&who)).unwrap().details.phone, "010-3333-3333");
    assert!(owner.conflicts().unwrap().is_empty());
    all_equal(&[owner, &desk]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_the_second_value_puts_it_into_force() {
    let (practice, desk, [who, _]) = apart().await;
    phone(&practice.owner, &who, "010-1111-1111");
    phone(&desk, &who, "010-2222-2222");
    together([&practice.owner, &desk]).await;
    let id = practice.owner.conflicts().unwrap()[0].id.clone();
    practice
        .owner
        .settle_conflict(SettleConflict {
            id,
            choice: ConflictChoice::KeepB,
        })
        .unwrap();
    together([&practice.owner, &desk]).await;
    assert_eq!(desk.client(by_id(&who)).unwrap().details.phone, "010-2222-2222");
    all_equal(&[&practice.owner, &desk]).await;
}

/// Both book one hour; gives the clash, the placed and the contested booking, as both see them.
async fn clash(practice: &Clinic, desk: &App, clients: &[String; 2]) -> (Clash, String, String) {
    let placed = book(&practice.owner, &clients[0], "11:00");
    let contested = book(desk, &clients[1], "11:00");
    together([&practice.owner, desk]).await;
    let mut open = desk.clashes().unwrap();
    assert_eq!(practice.owner.clashes().unwrap().len(), 1);
    let clash = open.pop().unwrap();
    assert_eq!(
        (clash.a.id.as_str(), clash.b.id.as_str()),
        (placed.as_str(), contested.as_str())
    );
    assert_eq!(clash.resources, [Resource::Therapist]);
    (clash, placed, contested)
}

async fn settled(practice: &Clinic, desk: &App, clash: &Clash, choice: ClashChoice) {
    let left = desk
        .settle_clash(SettleClash {
            id: clash.id.clone(),
            choice,
        })
        .unwrap();
    assert!(left.is_empty(), "what is settled here waits for nobody");
    together([desk, &practice.owner]).await;
    assert!(practice.owner.clashes().unwrap().is_empty());
    all_equal(&[&practice.owner, desk]).await;
}

fn placement(app: &App, id: &str) -> (AppointmentStatus, Placement) {
    let item = app.appointment(by_id(id)).unwrap().item;
    (item.status, item.placement)
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_the_contested_booking_cancels_the_placed_one() {
    let (practice, desk, clients) = apart().await;
    let (open, placed, contested) = clash(&practice, &desk, &clients).await;
    settled(&practice, &desk, &open, ClashChoice::KeepB).await;
    let owner = &practice.owner;
    assert_eq!(placement(owner, &placed).0, AppointmentStatus::CancelledByTherapist);
    assert_eq!(
        placement(owner, &contested),
        (AppointmentStatus::Scheduled, Placement::Placed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_the_placed_booking_cancels_the_contested_one() {
    let (practice, desk, clients) = apart().await;
    let (open, placed, contested) = clash(&practice, &desk, &clients).await;
    settled(&practice, &desk, &open, ClashChoice::KeepA).await;
    assert_eq!(
        placement(&practice.owner, &placed),
        (AppointmentStatus::Scheduled, Placement::Placed)
    );
    assert_eq!(
        placement(&practice.owner, &contested).0,
        AppointmentStatus::CancelledByTherapist
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_bookings_stay_with_a_reason_that_is_seen_by_everyone() {
    let (practice, desk, clients) = apart().await;
    let (open, _, contested) = clash(&practice, &desk, &clients).await;
    let without = SettleClash {
        id: open.id.clone(),
        choice: ClashChoice::KeepBoth { reason: String::new() },
    };
    assert_eq!(refused(desk.settle_clash(without)), ErrorCode::InvalidFields);
    settled(
        &practice,
        &desk,
        &open,
        ClashChoice::KeepBoth {
            reason: "A couple".to_owned(),
        },
    )
    .await;
    let item = practice.owner.appointment(by_id(&contested)).unwrap().item;
    assert_eq!(
        (item.placement, item.override_reason.as_deref()),
        (Placement::Placed, Some("A couple"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_the_placed_booking_away_places_the_other_and_a_taken_time_is_refused() {
    let (practice, desk, clients) = apart().await;
    let (open, placed, contested) = clash(&practice, &desk, &clients).await;
    book(&desk, &clients[1], "15:00");
    let to = |time: &str| ClashChoice::MoveA {
        date: "2031-05-12".to_owned(),
        start_time: time.to_owned(),
    };
    let taken = SettleClash {
        id: open.id.clone(),
        choice: to("15:20"),
    };
    assert_eq!(refused(desk.settle_clash(taken)), ErrorCode::SlotTaken);
    settled(&practice, &desk, &open, to("09:00")).await;
    assert_eq!(
        placement(&practice.owner, &placed),
        (AppointmentStatus::Scheduled, Placement::Placed)
    );
    assert_eq!(
        placement(&practice.owner, &contested),
        (AppointmentStatus::Scheduled, Placement::Placed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contested_booking_whose_time_became_free_waits_until_a_person_places_it() {
    let (practice, desk, clients) = apart().await;
    let (_, placed, contested) = clash(&practice, &desk, &clients).await;
    let cancel = SetStatus {
        id: placed,
        status: AppointmentStatus::CancelledByTherapist,
        reason: None,
    };
    practice.owner.set_status(cancel).unwrap();
    together([&practice.owner, &desk]).await;
    let open = desk.clashes().unwrap();
    assert!(open[0].free_now, "the time is free, and nothing is placed by itself");
    assert_eq!(placement(&desk, &contested).1, Placement::Contested);
    settled(&practice, &desk, &open[0], ClashChoice::Place).await;
    assert_eq!(placement(&practice.owner, &contested).1, Placement::Placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_was_moved_into_a_clash_is_offered_the_time_that_it_had() {
    let (practice, desk, clients) = apart().await;
    let first = book(&practice.owner, &clients[0], "11:00");
    let second = book(&desk, &clients[1], "16:00");
    together([&practice.owner, &desk]).await;
    for (app, id) in [(&practice.owner, &first), (&desk, &second)] {
        let outcome = app.move_appointment(MoveAppointment {
            id: id.clone(),
            date: "2031-05-12".to_owned(),
            start_time: "13:00".to_owned(),
            duration_minutes: None,
            therapist_id: None,
            room_id: None,
            override_reason: None,
        });
        assert!(matches!(outcome.unwrap(), BookOutcome::Booked { .. }));
    }
    together([&practice.owner, &desk]).await;
    let open = desk.clashes().unwrap();
    assert_eq!(open[0].b.id, second);
    let former = &open[0].slots_b[0];
    assert_eq!(
        (former.date.as_str(), former.start_time.as_str()),
        ("2031-05-12", "16:00")
    );
    let back = ClashChoice::MoveB {
        date: former.date.clone(),
        start_time: former.start_time.clone(),
    };
    settled(&practice, &desk, &open[0], back).await;
    assert_eq!(placement(&practice.owner, &second).1, Placement::Placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_texts_of_one_draft_stay_two_until_she_chooses() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let who = client(owner, "Ellis");
    let note = owner
        .create_note(CreateNote {
            client_id: who,
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    let id = note.summary.id;
    owner.share_now().await.unwrap();
    let second = practice.second().await;
    let write = |app: &App, text: &str| {
        let sections = vec![NoteSection {
            key: "text".to_owned(),
            text: text.to_owned(),
        }];
        app.autosave_note(AutosaveNote {
            id: id.clone(),
            template: NoteTemplate::Free,
            sections,
        })
        .unwrap()
    };
    write(owner, "From the laptop");
    write(&second, "From the clinic");
    together([owner, &second]).await;
    let open = owner.conflicts().unwrap();
    assert_eq!((open.len(), open[0].clinical, open[0].unit.as_str()), (1, true, "text"));
    assert_eq!(
        (open[0].a.text.as_str(), open[0].b.text.as_str()),
        ("From the laptop", "From the clinic")
    );
    let settle = SettleConflict {
        id: open[0].id.clone(),
        choice: ConflictChoice::KeepB,
    };
    assert!(owner.settle_conflict(settle).unwrap().is_empty());
    together([owner, &second]).await;
    assert_eq!(second.note(by_id(&id)).unwrap().sections[0].text, "From the clinic");
    all_equal(&[owner, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_desks_give_one_number_and_the_service_renumbers_one_and_keeps_the_old_one_findable() {
    let (practice, desk, _) = apart().await;
    client(&practice.owner, "Weber");
    client(&desk, "Larsen");
    together([&practice.owner, &desk]).await;
    let numbers = |app: &App| {
        let rows = app
            .search_clients(SearchClients {
                query: String::new(),
                limit: 50,
            })
            .unwrap()
            .rows;
        rows.into_iter()
            .map(|row| (row.display_name, row.number.unwrap(), row.number_provisional))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&practice.owner), numbers(&desk));
    let mut given: Vec<String> = numbers(&desk).into_iter().map(|(_, number, _)| number).collect();
    given.sort();
    assert_eq!(given, ["C-0001", "C-0002", "C-0003", "C-0004"]);
    assert!(numbers(&desk).iter().all(|(_, _, provisional)| !provisional));
    let by_old = desk
        .search_clients(SearchClients {
            query: "C-0003".to_owned(),
            limit: 5,
        })
        .unwrap();
    assert_eq!(by_old.total, 2, "who was told the old number is still found by it");
}
