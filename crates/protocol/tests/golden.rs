//! The literal bytes of every message. Devices of any age send and expect exactly these: a test that fails here means that an installed
//! desktop and the service no longer understand each other.
#![allow(clippy::unwrap_used, reason = "tests")]

use caseload_protocol::auth::{self, ReplicaKind};
use caseload_protocol::cursor::{Cursor, Moment};
use caseload_protocol::messages as m;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const ID: &str = "00000000-0000-7000-8000-000000000001";

/// `bytes` reads as a `T` that writes the same bytes again.
fn golden<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &str) -> T {
    let value: T = serde_json::from_str(bytes).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), bytes);
    value
}

fn op() -> String {
    format!(
        r#"{{"op_id":"{ID}","t":"client","id":"{ID}","kind":"patch","base_rev":3,"sv":1,"units":{{"phone":{{"raw":"1"}}}},"client_ts":5}}"#
    )
}

fn group() -> String {
    format!(
        r#"{{"grp":"{ID}","actor":"{ID}","role":"front_desk","origin":"{ID}","origin_mut":7,"mut":7,"sig":"c2ln","ops":[{}]}}"#,
        op()
    )
}

fn row() -> String {
    format!(
        r#"{{"t":"client","id":"{ID}","rev":2,"seq":9,"sv":1,"scope":"office","u":{{"name":1,"phone":2}},"doc":{{"name":{{}},"phone":{{}},"salt":"00"}}}}"#
    )
}

const CURSOR: &str = "eyJlIjoiZTEiLCJxIjo5LCJjIjoiMDAiLCJzIjoiMTEifQ";

const CURSOR_OF_A_LATER_STATE: &str = "eyJlIjoiZTEiLCJxIjo5LCJjIjoiMDAiLCJzIjoiMTEiLCJyIjp7InEiOjEyLCJjIjoiMjIifX0";

#[test]
fn a_cursor_is_frozen_because_devices_hand_it_back_months_later() {
    let cursor: Cursor = golden(&format!("\"{CURSOR}\""));
    let expected = Cursor {
        epoch: "e1".into(),
        seq: 9,
        chain: "00".into(),
        scopes: "11".into(),
        read_at: None,
    };
    assert_eq!(cursor, expected);
    let cursor: Cursor = golden(&format!("\"{CURSOR_OF_A_LATER_STATE}\""));
    let read_at = Moment {
        seq: 12,
        chain: "22".into(),
    };
    assert_eq!(
        cursor,
        Cursor {
            read_at: Some(read_at),
            ..expected
        }
    );
}

#[test]
fn hello_is_frozen_because_it_is_how_old_and_new_programs_find_out_about_each_other() {
    golden::<m::HelloRequest>(&format!(
        r#"{{"proto":1,"app":"0.1.0","schema":{{"client":1}},"practice":"{ID}","device":"{ID}","replica":"{ID}","last_op":{{"mut":4,"op_id":"{ID}"}},"next_mut":5,"cursor":"{CURSOR}","time_ms":6}}"#
    ));
    golden::<m::HelloResponse>(&format!(
        r#"{{"action":"reregister","epoch":"e1","head_seq":9,"gc_floor":0,"last_op":{{"mut":4,"op_id":"{ID}"}},"server_time_ms":6,"min_writer":1,"limits":{{"push_ops":500,"push_bytes":4194304,"push_bytes_raw":16777216,"doc_bytes":262144,"pull_rows":1000,"pull_bytes":4194304,"syncs_per_minute":600,"wait_ms":75000,"blob_chunk":4194304,"blob_max":104857600}},"features":[]}}"#
    ));
}

#[test]
fn a_push_is_frozen_because_outboxes_hold_signed_groups_of_earlier_versions() {
    for known in ["", r#""known":{"q":9,"c":"00"},"#] {
        golden::<m::PushRequest>(&format!(
            r#"{{"practice":"{ID}","replica":"{ID}","epoch":"e1",{known}"groups":[{}]}}"#,
            group()
        ));
    }
    golden::<m::PushResponse>(&format!(
        r#"{{"results":[{{"mut":7,"op_id":"{ID}","st":"conflict","rev":3,"seq":9,"opened":["{ID}"]}},{{"mut":8,"op_id":"{ID}","st":"rejected","rev":0,"seq":0,"why":"invalid","fields":[{{"path":"when.end","problem":"end_not_after_start"}}]}}],"epoch":"e1","head_seq":9}}"#
    ));
}

#[test]
fn every_operation_kind_and_set_change_is_frozen() {
    for kind in [
        "create", "patch", "void", "restore", "settle", "override", "place", "reoffer",
    ] {
        golden::<m::Op>(&op().replace("\"patch\"", &format!("{kind:?}")));
    }
    golden::<m::Op>(&format!(
        r#"{{"op_id":"{ID}","t":"client_chart","id":"{ID}","kind":"patch","base_rev":3,"sv":1,"add":{{"allergies":{{"a":{{"substance":"x"}}}}}},"remove":{{"allergies":["b"]}},"reason":"r","client_ts":5}}"#
    ));
}

#[test]
fn the_bytes_that_an_actor_signs_are_frozen_because_waiting_changes_carry_old_signatures() {
    let group: m::Group = serde_json::from_str(&group()).unwrap();
    let practice = ID.parse().unwrap();
    assert_eq!(
        String::from_utf8(group.signing_bytes(practice).unwrap()).unwrap(),
        format!(
            r#"{{"actor":"{ID}","grp":"{ID}","ops":[{{"base_rev":3,"client_ts":5,"id":"{ID}","kind":"patch","op_id":"{ID}","sv":1,"t":"client","units":{{"phone":{{"raw":"1"}}}}}}],"origin":"{ID}","origin_mut":7,"practice":"{ID}","role":"front_desk","v":1}}"#
        )
    );
}

#[test]
fn pull_snapshot_fetch_and_wait_are_frozen() {
    golden::<m::PullRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","cursor":null,"have":["office","clinical:{ID}"],"max_rows":10}}"#
    ));
    golden::<m::PullResponse>(&format!(
        r#"{{"rows":[{}],"cursor":"{CURSOR}","more":false,"head_seq":9,"acked":null,"enter":["clinical:{ID}"],"leave":["private:{ID}"],"gc_floor":0}}"#,
        row()
    ));
    golden::<m::SnapshotRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","scope":"office","after":{{"t":"client","id":"{ID}"}},"max_rows":10}}"#
    ));
    golden::<m::SnapshotRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","scope":"clinical:{ID}","then":["private:{ID}"],"after":null,"known":{{"q":9,"c":"0123456789abcdef"}},"max_rows":10}}"#
    ));
    golden::<m::SnapshotResponse>(&format!(r#"{{"rows":[{}],"after":null,"cursor":"{CURSOR}"}}"#, row()));
    golden::<m::SnapshotResponse>(&format!(
        r#"{{"rows":[{}],"then_through":1,"after":{{"t":"client","id":"{ID}"}},"cursor":"{CURSOR}"}}"#,
        row()
    ));
    golden::<m::FetchRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","keys":[{{"t":"client","id":"{ID}"}}]}}"#
    ));
    golden::<m::FetchResponse>(&format!(r#"{{"rows":[{}]}}"#, row()));
    golden::<m::WaitResponse>(r#"{"head_seq":9}"#);
}

#[test]
fn check_is_frozen_because_both_ends_compute_it_for_themselves() {
    let sum = "0".repeat(64);
    golden::<m::CheckRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","scopes":["office"],"bucket":{{"t":"client","bucket":3}}}}"#
    ));
    golden::<m::CheckResponse>(&format!(
        r#"{{"seq":9,"sums":[{{"t":"client","bucket":3,"n":1,"s":"{sum}"}}],"manifest":[{{"id":"{ID}","rev":2,"leaf":"{sum}"}}]}}"#
    ));
}

#[test]
fn a_refusal_is_frozen_and_says_nothing_but_code_and_request() {
    golden::<m::ErrorBody>(r#"{"error":{"code":"storage_unavailable","request_id":"r","retry_after_ms":100}}"#);
}

#[test]
fn sign_in_and_enrolment_are_frozen() {
    let text = |value: serde_json::Value| value.to_string();
    let _: auth::ClaimRequest = serde_json::from_str(&text(json!({
        "setup_code": "s", "practice": ID, "practice_name": "P", "root_key": "k", "chain": {}, "device_name": "d"
    })))
    .unwrap();
    let practice = ID.parse().unwrap();
    let device = ID.parse().unwrap();
    let user = ID.parse().unwrap();
    assert_eq!(
        String::from_utf8(auth::session_bytes(practice, device, user, "n")).unwrap(),
        format!(r#"{{"device":"{ID}","nonce":"n","practice":"{ID}","purpose":"caseload session v1","user":"{ID}"}}"#)
    );
    let register: auth::RegisterReplicaRequest =
        golden(&format!(r#"{{"replica":"{ID}","kind":"clinical","replaces":null}}"#));
    assert_eq!(register.kind, ReplicaKind::Clinical);
}

/// Golden bytes by message: each text reads as that type and is written back as the same bytes. [`every_message_has_golden_bytes`] fails for
/// a type of the wire that is not in this list.
macro_rules! golden_messages {
    ($($module:ident::$name:ident: [$($bytes:expr),+ $(,)?]),+ $(,)?) => {
        const LISTED: &[&str] = &[$(stringify!($name)),+];

        #[test]
        fn the_bytes_of_every_message_are_frozen_because_devices_of_any_age_send_and_expect_them() {
            $($(
                let bytes: String = filled($bytes);
                let value: caseload_protocol::$module::$name = serde_json::from_str(&bytes)
                    .unwrap_or_else(|error| panic!("{}: {error}: {bytes}", stringify!($name)));
                assert_eq!(serde_json::to_string(&value).unwrap(), bytes, "{}", stringify!($name));
            )+)+
        }
    };
}

/// `ID`, `CURSOR`, `OP`, `GROUP`, `ROW` and `SUM` stand for their bytes.
fn filled(text: &str) -> String {
    text.replace("GROUP", &group())
        .replace("OP", &op())
        .replace("ROW", &row())
        .replace("CURSOR", CURSOR)
        .replace("SUM", &"0".repeat(64))
        .replace("ID", ID)
}

golden_messages! {
    messages::OpKind: [
        r#""create""#, r#""patch""#, r#""void""#, r#""restore""#, r#""settle""#, r#""override""#, r#""place""#,
        r#""reoffer""#,
    ],
    messages::Op: [
        "OP",
        r#"{"op_id":"ID","t":"client_chart","id":"ID","kind":"patch","base_rev":3,"sv":1,"add":{"allergies":{"a":{"substance":"x"}}},"remove":{"allergies":["b"]},"reason":"r","client_ts":5}"#,
    ],
    messages::Group: [
        "GROUP",
        r#"{"grp":"ID","actor":"ID","role":"therapist","origin":"ID","origin_mut":3,"mut":7,"sig":"c2ln","detached":true,"ops":[]}"#,
    ],
    messages::LastOp: [r#"{"mut":4,"op_id":"ID"}"#],
    messages::HelloRequest: [
        r#"{"proto":1,"app":"0.1.0","schema":{"client":1},"practice":"ID","device":"ID","replica":"ID","last_op":{"mut":4,"op_id":"ID"},"next_mut":5,"cursor":"CURSOR","time_ms":6}"#,
        r#"{"proto":1,"app":"0.1.0","schema":{},"practice":"ID","device":"ID","replica":"ID","last_op":null,"next_mut":1,"cursor":null,"time_ms":6}"#,
    ],
    messages::HelloAction: [r#""ok""#, r#""reregister""#, r#""resync""#, r#""upgrade""#, r#""revoked""#],
    messages::HelloResponse: [
        r#"{"action":"ok","epoch":"e1","head_seq":9,"gc_floor":0,"last_op":null,"server_time_ms":6,"min_writer":1,"limits":{"push_ops":500,"push_bytes":4194304,"push_bytes_raw":16777216,"doc_bytes":262144,"pull_rows":1000,"pull_bytes":4194304,"syncs_per_minute":600,"wait_ms":75000,"blob_chunk":4194304,"blob_max":104857600},"features":["zstd"]}"#,
    ],
    messages::Limits: [
        r#"{"push_ops":500,"push_bytes":4194304,"push_bytes_raw":16777216,"doc_bytes":262144,"pull_rows":1000,"pull_bytes":4194304,"syncs_per_minute":600,"wait_ms":75000,"blob_chunk":4194304,"blob_max":104857600}"#,
    ],
    messages::PushRequest: [
        r#"{"practice":"ID","replica":"ID","epoch":"e1","groups":[GROUP]}"#,
        r#"{"practice":"ID","replica":"ID","epoch":null,"groups":[]}"#,
        r#"{"practice":"ID","replica":"ID","epoch":"e1","known":{"q":9,"c":"0123456789abcdef"},"groups":[]}"#,
    ],
    messages::Outcome: [
        r#""applied""#, r#""merged""#, r#""duplicate""#, r#""conflict""#, r#""clash""#, r#""rejected""#, r#""upgrade""#,
    ],
    messages::Refusal: [
        r#""invalid""#, r#""forbidden""#, r#""exists""#, r#""missing""#, r#""immutable""#, r#""integrity""#,
        r#""service_unit""#, r#""not_allowed_now""#, r#""reason_required""#, r#""not_free""#, r#""too_large""#,
        r#""unknown_kind""#, r#""group""#, r#""signature""#,
    ],
    messages::OpResult: [
        r#"{"mut":7,"op_id":"ID","st":"conflict","rev":3,"seq":9,"opened":["ID"]}"#,
        r#"{"mut":8,"op_id":"ID","st":"rejected","rev":0,"seq":0,"why":"invalid","fields":[{"path":"when.end","problem":"end_not_after_start"}]}"#,
    ],
    messages::PushResponse: [
        r#"{"results":[{"mut":7,"op_id":"ID","st":"applied","rev":3,"seq":9}],"epoch":"e1","head_seq":9}"#,
    ],
    messages::PullRequest: [
        r#"{"practice":"ID","replica":"ID","cursor":null,"have":["office","clinical:ID"],"max_rows":10}"#,
    ],
    messages::WireRow: [
        "ROW",
        r#"{"t":"client","id":"ID","rev":2,"seq":9,"del":true,"sv":2,"min_writer":2,"scope":"clinical:ID","u":{},"doc":{}}"#,
    ],
    messages::PullResponse: [
        r#"{"rows":[ROW],"cursor":"CURSOR","more":false,"head_seq":9,"acked":{"mut":4,"op_id":"ID"},"enter":["clinical:ID"],"leave":["private:ID"],"gc_floor":0}"#,
        r#"{"rows":[],"cursor":"CURSOR","more":true,"head_seq":9,"acked":null,"gc_floor":0}"#,
    ],
    messages::SnapshotRequest: [
        r#"{"practice":"ID","replica":"ID","scope":"office","after":{"t":"client","id":"ID"},"max_rows":10}"#,
        r#"{"practice":"ID","replica":"ID","scope":"clinical:ID","then":["private:ID"],"after":null,"known":{"q":9,"c":"0123456789abcdef"},"max_rows":10}"#,
    ],
    messages::SnapshotResponse: [
        r#"{"rows":[ROW],"after":null,"cursor":"CURSOR"}"#,
        r#"{"rows":[],"after":{"t":"client","id":"ID"},"cursor":"CURSOR"}"#,
        r#"{"rows":[],"then_through":0,"after":null,"cursor":"CURSOR"}"#,
    ],
    messages::CheckRequest: [
        r#"{"practice":"ID","replica":"ID","scopes":["office"],"bucket":{"t":"client","bucket":3}}"#,
        r#"{"practice":"ID","replica":"ID","scopes":["office"]}"#,
        r#"{"practice":"ID","replica":"ID","scopes":["office"],"known":{"q":9,"c":"0123456789abcdef"}}"#,
    ],
    messages::BucketName: [r#"{"t":"client","bucket":3}"#],
    messages::BucketSum: [r#"{"t":"client","bucket":3,"n":1,"s":"SUM"}"#],
    messages::ManifestEntry: [r#"{"id":"ID","rev":2,"leaf":"SUM"}"#],
    messages::CheckResponse: [
        r#"{"seq":9,"sums":[{"t":"client","bucket":3,"n":1,"s":"SUM"}],"manifest":[{"id":"ID","rev":2,"leaf":"SUM"}]}"#,
        r#"{"seq":9}"#,
        r#"{"seq":9,"gc_floor":5}"#,
    ],
    messages::FetchRequest: [
        r#"{"practice":"ID","replica":"ID","keys":[{"t":"client","id":"ID"}]}"#,
        r#"{"practice":"ID","replica":"ID","keys":[],"known":{"q":9,"c":"0123456789abcdef"}}"#,
    ],
    messages::FetchResponse: [r#"{"rows":[ROW]}"#],
    messages::WaitResponse: [r#"{"head_seq":9}"#],
    messages::ErrorBody: [r#"{"error":{"code":"storage_unavailable","request_id":"r","retry_after_ms":100}}"#],
    messages::WireError: [r#"{"code":"malformed","request_id":"r"}"#],
    messages::WireErrorCode: [
        r#""malformed""#, r#""too_large""#, r#""unsupported_encoding""#, r#""upgrade_required""#, r#""auth_expired""#,
        r#""auth_failed""#, r#""forbidden""#, r#""device_revoked""#, r#""foreign_practice""#, r#""already_claimed""#,
        r#""code_unknown""#, r#""code_expired""#, r#""chain_invalid""#, r#""not_found""#, r#""mutation_gap""#,
        r#""device_forked""#, r#""cursor_too_old""#, r#""epoch_changed""#, r#""history_diverged""#, r#""wrong_offset""#,
        r#""wrong_hash""#, r#""busy""#, r#""storage_unavailable""#, r#""internal""#,
    ],
    blobs::BlobStatus: [r#"{"received":4194304,"committed":false}"#],
    blobs::CommitBlob: [r#"{"size":10485760,"sha256":"SUM"}"#],
    auth::ClaimRequest: [
        r#"{"setup_code":"s","practice":"ID","practice_name":"P","root_key":"k","chain":{"user":{}},"device_name":"d"}"#,
    ],
    auth::ChallengeRequest: [r#"{"practice":"ID","device":"ID"}"#],
    auth::ChallengeResponse: [r#"{"nonce":"n"}"#],
    auth::SessionRequest: [
        r#"{"practice":"ID","device":"ID","user":"ID","nonce":"n","device_sig":"ZA","user_sig":"dQ"}"#,
    ],
    auth::RefreshRequest: [r#"{"refresh":"r"}"#],
    auth::SessionResponse: [r#"{"access":"a","refresh":"r","expires_ms":6,"server_time_ms":5}"#],
    auth::MintRequest: [
        r#"{"id":"i","authorisation":{},"admin_certificate":null,"sealed_bundle":"Yg","user_name":"Robin","expires_ms":6}"#,
    ],
    auth::OpenEnrolmentRequest: [r#"{"practice":"ID","id":"i"}"#],
    auth::OpenEnrolmentResponse: [
        r#"{"practice_name":"P","root_key":"k","authorisation":{},"admin_certificate":null,"sealed_bundle":null,"user":"ID","user_name":"Robin","role":"therapist","admin":true}"#,
    ],
    auth::RedeemRequest: [r#"{"practice":"ID","id":"i","chain":{},"device_name":"d"}"#],
    auth::Done: ["{}"],
    auth::ReplicaKind: [r#""office""#, r#""clinical""#],
    auth::RegisterReplicaRequest: [
        r#"{"replica":"ID","kind":"clinical","replaces":"ID"}"#,
        r#"{"replica":"ID","kind":"office","replaces":null}"#,
    ],
    auth::RegisterReplicaResponse: [r#"{"number":3}"#],
    auth::RevokeDeviceRequest: [r#"{"practice":"ID","device":"ID"}"#],
}

/// The modules whose public types are on the wire.
const WIRE: [&str; 3] = [
    include_str!("../src/messages.rs"),
    include_str!("../src/auth.rs"),
    include_str!("../src/blobs.rs"),
];

/// Public types of the wire modules that are made by serde: their names, and for enums their variants.
fn declared() -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for source in WIRE {
        let mut serialised = false;
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("#[derive(") {
                serialised = line.contains("Serialize");
            }
            let name = ["pub struct ", "pub enum "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            let Some(name) = name else { continue };
            let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
            let variants = if line.starts_with("pub enum ") {
                let body = lines.by_ref().take_while(|line| *line != "}");
                body.filter(|line| line.starts_with("    ") && line.trim_start().starts_with(char::is_uppercase))
                    .count()
            } else {
                1
            };
            if std::mem::take(&mut serialised) {
                found.push((name, variants));
            }
        }
    }
    found
}

#[test]
fn every_message_has_golden_bytes() {
    let declared = declared();
    assert!(declared.len() > 40, "the sources are read: {}", declared.len());
    for (name, _) in &declared {
        assert!(
            LISTED.contains(&name.as_str()),
            "{name} is on the wire and has no golden bytes"
        );
    }
    assert_eq!(LISTED.len(), declared.len(), "each type is listed once");
}

#[test]
fn every_word_of_the_wire_has_golden_bytes() {
    let own = include_str!("golden.rs");
    for (name, variants) in declared().into_iter().filter(|(_, variants)| *variants > 1) {
        let listed = own.split_once(&format!("::{name}: [")).unwrap().1;
        let words = listed.split_once("],").unwrap().0.matches("r#\"\"").count();
        assert_eq!(words, variants, "{name} has {variants} words");
    }
}

#[test]
fn the_leaves_of_every_entity_are_frozen_because_both_ends_sum_them_for_themselves() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden");
    let leaves = std::fs::read_to_string(format!("{folder}/leaves.txt")).unwrap();
    let key_id: caseload_domain::EntityId = "01900000-0000-7000-8000-000000000001".parse().unwrap();
    for entity in caseload_domain::registry::all() {
        let bytes = std::fs::read(format!("{folder}/{}.json", entity.kind)).unwrap();
        let document = caseload_domain::Document::parse(&bytes).unwrap();
        let key = caseload_domain::EntityKey::new(entity.kind, key_id);
        let leaf = caseload_protocol::checksum::leaf(&key, 3, false, &document).unwrap();
        let line = format!("{}  {}\n", caseload_protocol::checksum::hex(&leaf), entity.kind);
        assert!(leaves.contains(&line), "leaves.txt must hold: {line}");
    }
}

#[test]
fn members_that_a_reader_does_not_know_do_not_stop_it() {
    let with_more = group().replacen('{', r#"{"future":[1],"#, 1);
    assert!(serde_json::from_str::<m::Group>(&with_more).is_ok());
}

#[test]
fn limits_of_a_service_that_takes_no_blobs_are_understood() {
    let older = r#"{"push_ops":1,"push_bytes":1,"push_bytes_raw":1,"doc_bytes":1,"pull_rows":1,"pull_bytes":1,"syncs_per_minute":1,"wait_ms":1}"#;
    let limits: m::Limits = serde_json::from_str(older).unwrap();
    assert_eq!((limits.blob_chunk, limits.blob_max), (0, 0));
}
