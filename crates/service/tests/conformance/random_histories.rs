//! The same history gives the same answers and the same rows on both storages. A failing seed is in the message.

use std::collections::BTreeMap;

use caseload_domain::Scope;
use caseload_protocol::facts::VerifiedGroup;
use caseload_protocol::messages::{Op, OpKind};
use serde_json::json;

use crate::clinic::{
    Clinic, DESK, OWNER, Sender, THERAPIST, booking, care_key, client_document, clinical, create, grant, key, note, op,
    patch, void,
};
use crate::ground::Ground;

/// A small generator with a printed seed; good enough to choose with.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        // Knuth's multiplier; the high bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(sides)).unwrap()
    }

    fn among<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(u32::try_from(choices.len()).unwrap()) as usize]
    }
}

fn random_op(dice: &mut Dice, person: u32) -> Op {
    let base = i64::from(dice.roll(5));
    let client = 1 + dice.roll(3);
    let appointment = 100 + dice.roll(8);
    let note_number = 200 + dice.roll(4);
    let text = dice.among(&["one", "two", "three"]);
    match dice.roll(18) {
        0 | 1 => create("client", client, &client_document(text)),
        2 | 3 => patch("client", client, base, &json!({"phone": {"raw": text}})),
        4 => patch(
            "client",
            client,
            base,
            &json!({"address": {"city": text}, "future": {"member": [text]}}),
        ),
        5 => Op {
            add: [(
                "tags".to_owned(),
                json!({text: {"label": text}}).as_object().unwrap().clone(),
            )]
            .into(),
            ..patch("client", client, base, &json!({}))
        },
        6 => Op {
            remove: [("tags".to_owned(), vec![text.to_owned()])].into(),
            ..patch("client", client, base, &json!({}))
        },
        7 | 8 => create(
            "appointment",
            appointment,
            &booking(i64::from(dice.roll(6)) * 30, client, OWNER + dice.roll(2)),
        ),
        9 => {
            let moved = booking(i64::from(dice.roll(6)) * 30, client, OWNER + dice.roll(2));
            patch("appointment", appointment, base, &json!({"when": moved["when"]}))
        }
        10 => {
            let state = dice.among(&["confirmed", "cancelled_by_client", "scheduled", "completed"]);
            patch("appointment", appointment, base, &json!({"status": {"state": state}}))
        }
        11 => Op {
            reason: Some("both agree".into()),
            ..op(OpKind::Override, key("appointment", appointment), base, &json!({}))
        },
        12 => op(OpKind::Place, key("appointment", appointment), base, &json!({})),
        13 => void(
            dice.among(&["client", "appointment"]),
            if dice.roll(2) == 0 { client } else { appointment },
            base,
        ),
        14 => op(OpKind::Restore, key("client", client), base, &json!({})),
        15 => grant(client, OWNER + dice.roll(2)),
        16 => {
            let state = dice.among(&["active", "paused", "ended"]);
            op(
                OpKind::Patch,
                care_key(client, OWNER + dice.roll(2)),
                base,
                &json!({"status": {"state": state}}),
            )
        }
        _ if dice.roll(2) == 0 => create("session_note", note_number, &note(client, person, text)),
        _ => patch(
            "session_note",
            note_number,
            base,
            &json!({"body": {"sections": {"plan": text}}}),
        ),
    }
}

struct Random {
    dice: Dice,
    senders: Vec<(u32, Sender, Vec<VerifiedGroup>)>,
}

impl Random {
    /// The next push: new groups, now and then after the last ones again, with a number left out, or under another replica.
    fn push(&mut self) -> (Sender, Vec<VerifiedGroup>) {
        let chosen = self.dice.roll(4) as usize;
        let disturbance = self.dice.roll(12);
        let (person, sender, last) = &mut self.senders[chosen];
        let before = sender.clone();
        let mut groups = if disturbance < 2 { last.clone() } else { Vec::new() };
        for _ in 0..=self.dice.roll(3) {
            let ops = (0..=self.dice.roll(3))
                .map(|_| random_op(&mut self.dice, *person))
                .collect();
            groups.push(sender.group(ops));
        }
        let answer = (sender.clone(), groups.clone());
        match disturbance {
            0..=8 => *last = groups,
            9 | 10 => {
                // A reply and a request that nobody ever saw: the numbers are used again for the same groups.
                *sender = before;
                let lost = last.clone();
                return (sender.clone(), lost);
            }
            _ => {
                let mut gap = groups;
                gap.remove(0);
                *sender = before;
                return (sender.clone(), gap);
            }
        }
        answer
    }
}

/// How often each way of ending occurred: outcomes of operations by name, refusals of batches by their text.
type Count = BTreeMap<String, u32>;

async fn play(seed: u64, count: &mut Count) {
    let grounds = [Ground::sqlite(), Ground::mongodb().await];
    let (one, other) = (
        Clinic::on(&grounds[0].storage).await,
        Clinic::on(&grounds[1].storage).await,
    );
    let mut random = Random {
        dice: Dice(seed),
        senders: Vec::new(),
    };
    for (number, person) in [(800, OWNER), (801, OWNER), (802, THERAPIST), (803, DESK)] {
        let sender = one.sender(number, person).await;
        other.sender(number, person).await;
        random.senders.push((person, sender, Vec::new()));
    }
    for step in 0..60 {
        let (sender, groups) = random.push();
        let answers = [
            one.send(&sender, groups.clone()).await,
            other.send(&sender, groups).await,
        ];
        let [here, there] = answers.map(|answer| answer.map_err(|error| error.to_string()));
        assert_eq!(here, there, "seed {seed}, step {step}");
        let endings = match here {
            Ok(answer) => answer.results.iter().map(|result| format!("{:?}", result.st)).collect(),
            Err(refusal) => vec![refusal],
        };
        for ending in endings {
            *count.entry(ending).or_default() += 1;
        }
    }
    let scopes = [Scope::Office, clinical(1), clinical(2), clinical(3)];
    let rows = one.rows(&scopes).await;
    assert!(rows.len() > 10, "seed {seed} made {} rows", rows.len());
    assert_eq!(rows, other.rows(&scopes).await, "seed {seed}");
    let (here, there) = (
        one.storage.leaves(one.practice, &scopes).await,
        other.storage.leaves(other.practice, &scopes).await,
    );
    assert_eq!(here.unwrap(), there.unwrap(), "seed {seed}");
    let (here, there) = (
        one.storage.history(one.practice, 0, 10_000).await,
        other.storage.history(other.practice, 0, 10_000).await,
    );
    assert_eq!(here.unwrap(), there.unwrap(), "seed {seed}");
    assert_eq!(
        one.storage.head(one.practice).await.unwrap(),
        other.storage.head(other.practice).await.unwrap(),
        "seed {seed}"
    );
    for person in [OWNER, THERAPIST] {
        let user = crate::clinic::user(person);
        let (here, there) = (
            one.storage.care_scopes(one.practice, user).await,
            other.storage.care_scopes(other.practice, user).await,
        );
        assert_eq!(here.unwrap(), there.unwrap(), "seed {seed}");
    }
    grounds[1].heard().conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_storages_give_the_same_answers_and_keep_the_same_rows_for_the_same_history() {
    let mut count = Count::new();
    for seed in 1..=8 {
        play(seed, &mut count).await;
    }
    let endings = [
        "Applied",
        "Merged",
        "Conflict",
        "Clash",
        "Rejected",
        "mutation numbers do not follow on each other",
    ];
    for ending in endings {
        assert!(count.contains_key(ending), "no history came to {ending}: {count:?}");
    }
}
