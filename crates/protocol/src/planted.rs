//! Defects that are planted to see whether the simulation finds them; see `caseload_faults::bugs`. Part of no shipped program.

use caseload_faults::bugs::{Bug, has};
use serde_json::{Map, Value};

/// With [`Bug::BaseRaisedOnRebase`] a base can be raised after it was signed: the signature must not be what reveals it.
pub(crate) fn leave_bases_unsigned(mut ops: Value) -> Value {
    if has(Bug::BaseRaisedOnRebase) {
        for op in ops.as_array_mut().into_iter().flatten() {
            op["base_rev"] = Value::from(0);
        }
    }
    ops
}

/// With [`Bug::UnitsSplit`] two values of one unit become one that nobody wrote.
pub(crate) fn merge_members(present: Option<&Value>, sent: &Value) -> Option<Value> {
    let (Some(Value::Object(present)), Value::Object(sent)) = (present, sent) else {
        return None;
    };
    let only_new = sent
        .iter()
        .filter(|(member, _)| !present.contains_key(*member) || *member <= &"family".to_owned());
    let mut merged: Map<String, Value> = present.clone();
    merged.extend(only_new.map(|(member, value)| (member.clone(), value.clone())));
    has(Bug::UnitsSplit).then_some(Value::Object(merged))
}
