//! The literal bytes of every message. Devices of any age send and expect exactly these: a test that fails here means that an installed
//! desktop and the service no longer understand each other.
#![allow(clippy::unwrap_used, reason = "tests")]

use caseload_protocol::auth::{self, ReplicaKind};
use caseload_protocol::cursor::Cursor;
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

#[test]
fn a_cursor_is_frozen_because_devices_hand_it_back_months_later() {
    let cursor: Cursor = golden(&format!("\"{CURSOR}\""));
    assert_eq!(
        cursor,
        Cursor {
            epoch: "e1".into(),
            seq: 9,
            chain: "00".into(),
            scopes: "11".into()
        }
    );
}

#[test]
fn hello_is_frozen_because_it_is_how_old_and_new_programs_find_out_about_each_other() {
    golden::<m::HelloRequest>(&format!(
        r#"{{"proto":1,"app":"0.1.0","schema":{{"client":1}},"practice":"{ID}","device":"{ID}","replica":"{ID}","last_op":{{"mut":4,"op_id":"{ID}"}},"next_mut":5,"cursor":"{CURSOR}","time_ms":6}}"#
    ));
    golden::<m::HelloResponse>(&format!(
        r#"{{"action":"reregister","epoch":"e1","head_seq":9,"gc_floor":0,"last_op":{{"mut":4,"op_id":"{ID}"}},"server_time_ms":6,"min_writer":1,"limits":{{"push_ops":500,"push_bytes":4194304,"push_bytes_raw":16777216,"doc_bytes":262144,"pull_rows":1000,"pull_bytes":4194304,"syncs_per_minute":600,"wait_ms":75000}},"features":[]}}"#
    ));
}

#[test]
fn a_push_is_frozen_because_outboxes_hold_signed_groups_of_earlier_versions() {
    golden::<m::PushRequest>(&format!(
        r#"{{"practice":"{ID}","replica":"{ID}","epoch":"e1","groups":[{}]}}"#,
        group()
    ));
    golden::<m::PushResponse>(&format!(
        r#"{{"results":[{{"mut":7,"op_id":"{ID}","st":"conflict","rev":3,"seq":9,"opened":["{ID}"]}},{{"mut":8,"op_id":"{ID}","st":"rejected","rev":0,"seq":0,"why":"invalid","fields":[{{"path":"when.end","problem":"end_not_after_start"}}]}}],"epoch":"e1","head_seq":9}}"#
    ));
}

#[test]
fn every_operation_kind_and_set_change_is_frozen() {
    for kind in ["create", "patch", "void", "restore", "settle", "override", "place"] {
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
    golden::<m::SnapshotResponse>(&format!(r#"{{"rows":[{}],"after":null,"cursor":"{CURSOR}"}}"#, row()));
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

#[test]
fn members_that_a_reader_does_not_know_do_not_stop_it() {
    let with_more = group().replacen('{', r#"{"future":[1],"#, 1);
    assert!(serde_json::from_str::<m::Group>(&with_more).is_ok());
}
